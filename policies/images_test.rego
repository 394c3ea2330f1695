package dayfly.images_test

import data.dayfly.images

rules(image) := {v.rule | some v in images.deny with input as {"containers": [{"object": "o", "name": "c", "image": image}]}}

image(registry, tag, digest) := {
	"text": "x", "registry": registry, "repository": "dayfly/a", "tag": tag, "digest": digest,
}

test_a_version_of_our_registry_is_fine if rules(image("registry.example.com", "1.2.0", "")) == set()

test_a_digest_is_fine if {
	rules(image("registry.example.com", "", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")) == set()
}

test_a_registry_that_begins_like_ours_is_refused if {
	rules(image("registry.example.com.evil.com", "1.2.0", "")) == {"image-registry"}
}

test_latest_is_refused if rules(image("registry.example.com", "latest", "")) == {"image-tag"}

test_no_tag_is_refused if rules(image("registry.example.com", "", "")) == {"image-tag"}

test_a_wrong_digest_is_refused if rules(image("registry.example.com", "1.2.0", "sha256:abc")) == {"image-tag"}
