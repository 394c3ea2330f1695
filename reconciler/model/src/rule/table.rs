//! Every rule that is known beforehand: identifier, how bad it is, what is wrong, and what to do about it in general.

use super::{Rule, RuleFacts};
use crate::diagnostic::Severity;

/// Makes the categories, a constant of [`Rule`] for each row, and the table of all.
macro_rules! rules {
    ($(#[doc = $about:literal] $category:ident $prefix:literal {
        $($constant:ident $name:literal $severity:ident $title:literal $help:literal;)+
    })+) => {
        /// What a rule is about: the part of its identifier before the slash.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RuleCategory { $(#[doc = $about] $category),+ }

        impl RuleCategory {
            /// As the identifiers of its rules begin.
            pub fn prefix(self) -> &'static str {
                match self { $(Self::$category => $prefix),+ }
            }
        }

        impl Rule {
            $($(
                #[doc = $title]
                pub const $constant: Self = Self::known(&RuleFacts {
                    category: RuleCategory::$category,
                    id: concat!($prefix, "/", $name),
                    severity: Severity::$severity,
                    title: $title,
                    help: $help,
                });
            )+)+
        }

        /// All rows, sorted by identifier.
        pub(super) static TABLE: &[Rule] = &[$($(Rule::$constant),+),+];

        /// The constants' names, in the order of the table.
        #[cfg(test)]
        pub(super) const CONSTANTS: &[&str] = &[$($(stringify!($constant)),+),+];
    };
}

rules! {
    /// An app together with its template and its tier.
    App "app" {
        APP_CONNECTOR "connector" Error "The app asks for a connector that its template does not offer."
            "Choose one of the template's connectors, or ask the template's owners to offer this one.";
        APP_EGRESS "egress" Error "The app wants to reach a host name, and its tier filters only address ranges."
            "Write the range of the host's addresses.";
        APP_HOST "host" Error "The app's host name is no legal name."
            "Shorten the app's name, or ask those who keep the environment.";
        APP_NAMESPACE "namespace" Error "The app's namespace is no legal name."
            "Shorten the app's name, or ask those who keep the environment.";
        APP_NAMESPACE_TAKEN "namespace-taken" Error "Two apps would live in one namespace of one cluster."
            "Choose another name for one of the apps and its folder.";
        APP_RUNTIME "runtime" Error "The app asks for an isolation that its template does not offer."
            "Choose one of the template's runtimes, or leave the field out.";
        APP_TEMPLATE "template" Error "The app's template does not exist or cannot be read."
            "Name a template of catalog/ with its major version, and correct the template's own errors first.";
        APP_TEMPLATE_DEPRECATED "template-deprecated" Warning "The app's template is deprecated."
            "Move the app to another template before the sunset.";
        APP_TEMPLATE_RETIRED "template-retired" Error "The app's template is retired or past its sunset."
            "Move the app to another template; what runs goes on unchanged.";
        APP_TIER "tier" Error "The app's tier does not exist, cannot be read, or is none in which its template runs."
            "Name a tier of environments/ that the template lists.";
        APP_TTL "ttl" Error "The app wants to live longer than its tier allows."
            "Write a shorter ttl; `dayfly renew` extends it later.";
        APP_UNKNOWN "unknown" Error "There is no app of this name."
            "`dayfly status` lists the apps.";
        APP_UNREADABLE "unreadable" Error "The app or its tier cannot be read, so nothing can be changed."
            "`dayfly check` says why.";
    }

    /// What waits for a person's approval.
    Approval "approval" {
        APPROVAL_CONTROL "control" Warning
            "Environments, policies or the forge's settings changed and wait for approval."
            "Approve them as they stand with `dayfly adopt`; what was approved holds meanwhile.";
        APPROVAL_NEEDLESS "needless" Error "The app's tier needs no approval."
            "Nothing is to be done: a commit goes live by itself.";
    }

    /// What apps may cost together.
    Budget "budget" {
        BUDGET_COST_CENTER "cost-center" Warning
            "The apps of a cost center may cost more together than their tier allows."
            "Retire or suspend an app of the cost center, let one ask for less, or raise the budget.";
    }

    /// What a cluster refuses or fails to do.
    Cluster "cluster" {
        CLUSTER_BUSY "Busy" Error "The API server is overloaded and stayed so."
            "Wait: Dayfly tries again.";
        CLUSTER_FIELD_CONFLICT "FieldConflict" Error "Other managers own fields that git sets."
            "Leave those fields out in git, or let the others give them up.";
        CLUSTER_FORBIDDEN "Forbidden" Error "Dayfly lacks a right in the cluster."
            "Grant the right that the message names.";
        CLUSTER_FOREIGN_OBJECT "ForeignObject" Error "An object of this name exists that Dayfly did not make."
            "Delete it if nobody needs it, or give yours another name.";
        CLUSTER_IMMUTABLE "Immutable" Error "A field changed that Kubernetes never lets change."
            "Undo the change, give the object another name, or allow that it is deleted and created anew.";
        CLUSTER_INVALID "Invalid" Error "The API server does not take the object as valid."
            "Correct the template or the environment that renders it.";
        CLUSTER_INVENTORY_UNREADABLE "InventoryUnreadable" Error "The inventory of an app cannot be read."
            "Restore the ConfigMap in dayfly-system as it was.";
        CLUSTER_KIND_MISSING "KindMissing" Error "The cluster does not know the kind."
            "Install what brings the kind, or do not render it for this tier.";
        CLUSTER_MOVED "Moved" Error "Somebody else changed the object meanwhile."
            "Wait: Dayfly plans anew.";
        CLUSTER_NAMESPACE_MISSING "NamespaceMissing" Error "The object's namespace does not exist."
            "Let the tier's environment render the namespace.";
        CLUSTER_NAMESPACE_TERMINATING "NamespaceTerminating" Error "The object's namespace is being deleted."
            "Wait: Dayfly goes on as soon as it is gone.";
        CLUSTER_NOT_CONFIGURED "NotConfigured" Error "There is no usable connection to the cluster."
            "Check the kubeconfig, and `cluster.context` in the environment.";
        CLUSTER_NOT_FOUND "NotFound" Error "The object is not there."
            "Wait: Dayfly plans anew.";
        CLUSTER_QUOTA_EXCEEDED "QuotaExceeded" Error "A quota or a limit range refuses the object."
            "Ask for less, remove what is not needed, or raise the tier's quota.";
        CLUSTER_QUOTA_UNCOUNTED "QuotaUncounted" Error "A new quota was not counted yet."
            "Wait: Dayfly tries again in a moment.";
        CLUSTER_REFUSED "Refused" Error "An admission rule of the cluster refuses the object."
            "Change what the message names, or ask the owner of that admission rule.";
        CLUSTER_SERVER_ERROR "ServerError" Error "The API server failed."
            "Look at the API server; Dayfly tries again.";
        CLUSTER_STOPPED "Stopped" Error "The pass was told to stop."
            "Start it again.";
        CLUSTER_STORAGE_REFUSES "StorageRefuses" Error "The API server has nowhere to write."
            "Free some space where the API server stores its data; Dayfly tries again.";
        CLUSTER_TIMED_OUT "TimedOut" Error "An object did not get there in time."
            "Look at the object's events; Dayfly goes on as soon as it changes.";
        CLUSTER_UNAUTHORIZED "Unauthorized" Error "The cluster does not accept the credentials."
            "Renew the credentials of the context.";
        CLUSTER_UNREACHABLE "Unreachable" Error "The API server does not answer."
            "Check that the cluster runs and can be reached; Dayfly tries again.";
        CLUSTER_WEBHOOK_FAILED "WebhookFailed" Error "An admission webhook did not answer."
            "Ask the owner of the webhook; Dayfly tries again.";
        CLUSTER_INVENTORY "inventory" Error "An inventory that belongs to nothing in git cannot be read."
            "Restore the ConfigMap in dayfly-system as it was.";
        CLUSTER_LEFT_ALONE "left-alone" Error "An object is left as it is."
            "The message says what would have to change.";
    }

    /// The edit of a manifest by a command.
    Edit "edit" {
        EDIT_PLACE "place" Error "The manifest is written so that Dayfly cannot change the field in place."
            "Write the field by hand.";
    }

    /// A tier's environment.
    Environment "environment" {
        ENVIRONMENT_EGRESS "egress" Error "The environment asks for a filter of host names that is not available yet."
            "Write `hostnames: none`; apps then name address ranges.";
        ENVIRONMENT_NAMING "naming" Error "The environment's text for namespaces or hosts cannot be used."
            "Possible are `{{ app }}`, `{{ tier }}`, `{{ team }}` and `{{ cost_center }}`; `{{ app }}` has to stand in it.";
    }

    /// A file or a folder, whatever is in it.
    File "file" {
        FILE_COLLISION "collision" Error "Two names are one name on some computers."
            "Rename one of the two.";
        FILE_NAME "name" Error "Some file systems do not keep the file's name as it is, or git keeps it for itself."
            "Rename the file.";
        FILE_SIZE "size" Error "The file is too large."
            "Keep large data outside the repository.";
        FILE_SUBMODULE "submodule" Error "A submodule stands where files are read, and submodules are not entered."
            "Put the files themselves there.";
        FILE_SYMLINK "symlink" Error "A symbolic link stands where files are read, and links are not followed."
            "Put the file or the folder itself there.";
        FILE_UTF_8 "utf-8" Error "The file is no UTF-8 text."
            "Save it as UTF-8.";
    }

    /// The repository itself, besides its files.
    Git "git" {
        GIT_AHEAD "ahead" Warning "Commits are dated ahead of the clock."
            "Correct the clock of whoever made them; they count as of when they were first seen.";
        GIT_REPLACED "replaced" Warning "References say that git should show other objects in the place of some."
            "Dayfly ignores them; delete the references below refs/replace/, so that everybody sees what it sees.";
    }

    /// The manifest of an app, a template, an environment or a waiver.
    Manifest "manifest" {
        MANIFEST_ABSENT "absent" Error "A folder has no manifest."
            "Add the manifest, or remove the folder.";
        MANIFEST_REQUIRED "required" Error "A field is required, and absent."
            "Add the field.";
        MANIFEST_TYPE "type" Error "A field's value has the wrong type."
            "Write the value as the field's description says; text that looks like a number needs quotes.";
        MANIFEST_UNKNOWN_FIELD "unknown-field" Error "The manifest has a field that does not exist."
            "Correct the field's name, or remove it.";
        MANIFEST_VALUE "value" Error "A field's value is not possible."
            "Write a value as the field's description says.";
    }

    /// The names that manifests and folders claim.
    Name "name" {
        NAME_CLAIMED_TWICE "claimed-twice" Error "Several apps claim one name."
            "Write the folder's name into each manifest.";
        NAME_FOLDER "folder" Error "A folder's name is no legal name."
            "Rename the folder.";
        NAME_NOT_THE_FILE "not-the-file" Error "A manifest has another name than its file."
            "Write the file's name into the manifest.";
        NAME_NOT_THE_FOLDER "not-the-folder" Error "A manifest has another name than its folder."
            "Write the folder's name into the manifest.";
    }

    /// What an app sets of its template's parameters.
    Parameter "parameter" {
        PARAMETER_REQUIRED "required" Error "A parameter is required, and absent."
            "Add the parameter.";
        PARAMETER_TYPE "type" Error "A parameter's value has the wrong type."
            "Write the value as the parameter's description says; text that looks like a number needs quotes.";
        PARAMETER_UNKNOWN_FIELD "unknown-field" Error "The template has no such parameter."
            "Correct the parameter's name, or remove it.";
        PARAMETER_VALUE "value" Error "A parameter's value is not possible."
            "Write a value as the parameter's description says.";
    }

    /// The platform as a whole.
    Platform "platform" {
        PLATFORM_NO_APPS "no-apps" Warning "The platform has no app."
            "Add one with `dayfly new`.";
        PLATFORM_NO_ENVIRONMENTS "no-environments" Error "The platform has no tier."
            "Add environments/<tier>/environment.yaml.";
        PLATFORM_NO_TEMPLATES "no-templates" Error "The platform has no template."
            "Add catalog/<name>/v1/template.yaml.";
    }

    /// The policies of the platform, and what they forbid.
    Policy "policy" {
        POLICY_ABSENT "absent" Error "There is no policy, so nothing is admitted."
            "Add a policy; the sample platform has some to begin with.";
        POLICY_BUILTIN "builtin" Error "A policy uses a builtin that reads more than its input, or too many of them."
            "Decide by `input` alone: it has the app, its environment, its objects and their cost.";
        POLICY_INPUT "input" Error "A policy reads of `input` what is never there."
            "Correct the name: a condition that depends on it never holds.";
        POLICY_MALFORMED "malformed" Error "A workload hides its pods from whoever reads it."
            "Correct the template: Kubernetes refuses this too.";
        POLICY_NESTING "nesting" Error "A policy has too many brackets inside one another."
            "Give the inner part a name: a rule or a variable of its own.";
        POLICY_NO_RULE "no-rule" Error "A policy defines neither deny nor warn."
            "Write `deny contains {\"rule\": …, \"msg\": …} if { … }`.";
        POLICY_NO_VERDICT "no-verdict" Error "A policy failed on an app, so the app has no verdict and is not admitted."
            "The owners of policies/ have to correct the policy.";
        POLICY_PACKAGE "package" Error "A policy's package has a name that is not read."
            "Name it dayfly.<name>, or dayfly.lib.<name> for what others share.";
        POLICY_RULE "rule" Error
            "A rule of a policy needs itself, needs too many others, or could have two values at once."
            "Write it without the circle, on fewer rules, or join its definitions with `else`.";
        POLICY_SIZE "size" Error "A policy's file is too large."
            "Split it.";
        POLICY_SYNTAX "syntax" Error "A policy cannot be read."
            "Correct the policy; until then the set as a whole is refused.";
        POLICY_UNREADABLE "unreadable" Error "The policies cannot be read, so nothing is admitted."
            "Correct the errors in policies/; what runs goes on unchanged.";
        POLICY_UNSOUND "unsound" Error "What was admitted does not read back as it was."
            "This is a defect of Dayfly: report it. What runs goes on unchanged.";
    }

    /// An app's step to the next tier.
    Promote "promote" {
        PROMOTE_REFUSED "refused" Error "The app cannot be promoted."
            "The message says what stands in the way.";
    }

    /// What git no longer has, and the cluster still has.
    Remove "remove" {
        REMOVE_STAYS "stays" Warning "An app that git no longer has is not removed."
            "The message says what it waits for; `dayfly retire --confirm` confirms that many may go.";
        REMOVE_UNKNOWN "unknown" Warning "A tier was on another cluster before, and what it left there is unknown."
            "Bring the cluster back, so that Dayfly removes it, or approve that it is gone.";
    }

    /// The files of a template or an environment, and what they render.
    Render "render" {
        RENDER_CHARACTER "character" Error "A template has a character of Unicode's private use area."
            "Remove it; it is invisible in most editors.";
        RENDER_DUPLICATE "duplicate" Error "One object is rendered twice."
            "Give one of the two another name, or remove it.";
        RENDER_EMPTY "empty" Error "A template renders no object."
            "Check the template's conditions: an app that needs nothing is retired, not emptied.";
        RENDER_FAILED "failed" Error "An expression of a template failed."
            "Correct the template or the app's parameters.";
        RENDER_FILTER "filter" Error "A template uses a filter that does not exist."
            "Use one of the filters that the message names.";
        RENDER_FUNCTION "function" Error "A template calls a function that does not exist."
            "Make a parameter of what the function would fetch: a rendering depends on one commit alone.";
        RENDER_INCLUDE "include" Error "A template includes a file that is not there, or itself."
            "Name a file of this folder, without a circle.";
        RENDER_KIND "kind" Error "An object is of a kind or a version that is not applied from there."
            "Use a kind that templates may have, in its version, or move the object to the environment.";
        RENDER_LIMIT "limit" Error "A template is too large, or does too much work."
            "Loop over less, write several expressions, or split the template in two.";
        RENDER_METADATA "metadata" Error "An object says of itself what is not the renderer's to say."
            "Write name, namespace, labels and annotations in metadata, and nothing else.";
        RENDER_NAME "name" Error "An object's name is one that no API server takes."
            "Use lower case letters, digits, '-' and '.'; the first and last are a letter or a digit.";
        RENDER_NAMESPACE "namespace" Error "An object is in another namespace than it may be."
            "Leave metadata.namespace out; only an object of shared/ names it.";
        RENDER_OBJECT "object" Error "A document is no Kubernetes object."
            "Give it apiVersion, kind and metadata.name.";
        RENDER_SHAPE "shape" Error "A list or a map stands where only one value can stand."
            "Write it with a loop, or as a text with `| json`.";
        RENDER_SYNTAX "syntax" Error "A template cannot be read."
            "Correct the template; its language is Tera.";
        RENDER_TERA "tera" Error "Tera refuses a template."
            "Correct the template; its language is Tera.";
        RENDER_UNDEFINED "undefined" Error "A template uses a name that nothing defines."
            "Correct the name, or use `| default(value=…)` where it may be absent.";
        RENDER_UTF_8 "utf-8" Error "What a file renders is no UTF-8 text."
            "Save the file as UTF-8.";
    }

    /// The renewal of an app.
    Renew "renew" {
        RENEW_REFUSED "refused" Error "The app cannot be renewed, or not by that much."
            "The message says how long it may live.";
    }

    /// The end of apps whose time is up.
    Retire "retire" {
        RETIRE_BUDGET "budget" Error "More apps are due at once, unannounced, than the tier allows."
            "Retire them one by one with `dayfly retire`; those that are announced go by themselves.";
        RETIRE_CLOCK "clock" Warning "The machine's time is in doubt, so nothing is retired."
            "Look at the machine's time.";
        RETIRE_MEMORY "memory" Warning "What was announced cannot be written down."
            "Make room on the disk, or let Dayfly write there; nothing goes sooner for it.";
        RETIRE_WAITS "waits" Warning "A retirement could not be committed."
            "The message says why; Dayfly tries again with the next pass.";
    }

    /// The suspension of an app.
    Suspend "suspend" {
        SUSPEND_REFUSED "refused" Error "The app is suspended or running already."
            "There is nothing to do.";
    }

    /// A template's manifest.
    Template "template" {
        TEMPLATE_ENGINE "engine" Error "A template's engine lacks what it renders, or is none that Dayfly has."
            "Add resources/*.yaml, and write `engine: tera`.";
        TEMPLATE_REFERENCE "reference" Error "A template's parameters point outside their file, and nothing is fetched."
            "Write the schema out in the manifest.";
        TEMPLATE_SCHEMA "schema" Error "A template's parameters are no JSON Schema of an object."
            "Write a JSON Schema with `type: object`.";
        TEMPLATE_TYPE "type" Error "A parameter's default has another type than the parameter."
            "Write a default that the parameter's own schema takes.";
        TEMPLATE_UNKNOWN_FIELD "unknown-field" Error "A parameter's default has a field that its schema does not have."
            "Write a default that the parameter's own schema takes.";
        TEMPLATE_UNVERSIONED "unversioned" Error "A template changed, and its version did not."
            "Write a higher version, so that apps can tell.";
        TEMPLATE_VALUE "value" Error "A parameter's default is not possible."
            "Write a default that the parameter's own schema takes.";
        TEMPLATE_VERSION "version" Error "A template's version does not fit its folder."
            "Make a new folder for a new major version, so that apps choose when they move.";
    }

    /// The YAML of manifests and of what is rendered.
    Yaml "yaml" {
        YAML_ANCHOR "anchor" Error "An anchor or an alias stands in the YAML, and they are not read."
            "Write the value out; text that starts with & or * needs quotes.";
        YAML_BYTE_ORDER_MARK "byte-order-mark" Error "The file has a byte order mark."
            "Save it as UTF-8 without a byte order mark.";
        YAML_CONTROL_CHARACTER "control-character" Error "A control character stands in the YAML."
            "Remove it; it is invisible in most editors.";
        YAML_DEPTH "depth" Error "Too many mappings and lists stand inside one another."
            "Make the structure flatter.";
        YAML_DIRECTIVE "directive" Error "A directive stands in the YAML."
            "Remove the line that begins with `%`.";
        YAML_DOCUMENTS "documents" Error "A manifest has more than one document."
            "Move what follows the line `---` to a file of its own.";
        YAML_DUPLICATE_KEY "duplicate-key" Error "A key stands twice in one mapping."
            "Keep one of the two.";
        YAML_EMPTY "empty" Error "The file is empty."
            "Write the manifest.";
        YAML_KEY "key" Error "A key is not text."
            "Put the key in quotes.";
        YAML_MERGE_KEY "merge-key" Error "A mapping merges another one (`<<`), and merging is not read."
            "Write the fields out.";
        YAML_RETYPED "retyped" Error
            "A value without quotes is read as text by some programs and as something else by others."
            "Put it in quotes if it is text; else write it as all programs read it.";
        YAML_SIZE "size" Error "The file is too large."
            "Move large data to a file of its own.";
        YAML_SYNTAX "syntax" Error "The YAML cannot be read."
            "Indent with two spaces for each level, and write `name: value` with a space after the colon.";
        YAML_TAB "tab" Error "A tab stands where YAML indents with spaces."
            "Replace it by spaces.";
        YAML_TAG "tag" Error "A tag stands in the YAML, and tags are not read."
            "Remove the word that starts with `!`.";
        YAML_UTF_8 "utf-8" Error "The text is no UTF-8."
            "Save the file as UTF-8.";
    }
}

/// What holds for the rules of the open groups that stand in no row.
pub(super) static OPEN: [RuleFacts; 2] = [
    RuleFacts {
        category: RuleCategory::Policy,
        id: "policy/<name>",
        severity: Severity::Error,
        title: "A policy of the platform forbids it.",
        help: "Change what the message names, or ask the owners of policies/ for a waiver.",
    },
    RuleFacts {
        category: RuleCategory::Cluster,
        id: "cluster/<Reason>",
        severity: Severity::Error,
        title: "A cluster refuses or fails to do something.",
        help: "The message says what; Dayfly tries again with the next pass.",
    },
];
