# Images come from our registry, and say which one they are.
package dayfly.images

# Compared whole: registry.example.com.evil.com is another one.
allowed_registries := {"registry.example.com"}

deny contains violation if {
	some container in input.containers
	not container.image.registry in allowed_registries
	violation := found(container, "image-registry", "is from another registry", concat("", [
		"Use an image of ", concat(" or ", allowed_registries), ".",
	]))
}

deny contains violation if {
	some container in input.containers
	not pinned(container.image)
	violation := found(container, "image-tag", "names no version", "Name a version such as :1.2.0, or a digest.")
}

pinned(image) if regex.match(`^sha256:[0-9a-f]{64}$`, image.digest)

pinned(image) if {
	image.digest == ""
	regex.match(`^v?[0-9]+\.[0-9]+(\.[0-9]+)?([-.][0-9A-Za-z.-]+)?$`, image.tag)
}

found(container, rule, message, help) := {
	"rule": rule,
	"object": container.object,
	"msg": sprintf("%s: the image %q %s", [container.name, container.image.text, message]),
	"help": help,
}
