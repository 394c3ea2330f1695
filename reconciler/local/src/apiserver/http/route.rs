//! From the path of a URL to what is asked for: a page of the server itself, or objects of a kind.

use crate::apiserver::kinds::ServedKinds;
use crate::apiserver::resource_address::ResourceAddress;

/// What a path asks for.
#[derive(Debug)]
pub enum RequestTarget {
    Objects(ResourceAddress),
    /// A page of the server itself, by the segments of its path.
    Page(Vec<String>),
}

/// Reads a path; `None` for paths below `/api` and `/apis` that lead to nothing that is served.
pub fn target(kinds: &ServedKinds, path: &str) -> Option<RequestTarget> {
    let segments: Vec<String> =
        path.split('/').filter(|s| !s.is_empty()).map(percent_decoded).collect::<Option<_>>()?;
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Some(RequestTarget::Page(segments)),
    };
    objects(kinds, group, version, rest).map(RequestTarget::Objects)
}

fn objects(kinds: &ServedKinds, group: &str, version: &str, rest: &[&str]) -> Option<ResourceAddress> {
    let (namespace, plural, rest) = match rest {
        // /namespaces/<name>/status and /finalize are subresources of the Namespace itself.
        ["namespaces", _, "status" | "finalize"] => ("", "namespaces", rest.get(1..)?),
        ["namespaces", namespace, plural, rest @ ..] => (*namespace, *plural, rest),
        [plural, rest @ ..] => ("", *plural, rest),
        [] => return None,
    };
    let kind = kinds.find(group, version, plural)?;
    let (name, subresource) = match rest {
        [] => ("", None),
        [name] => (*name, None),
        [name, subresource, ..] => (*name, Some((*subresource).to_owned())),
    };
    let fits = match (kind.resource.namespaced, namespace.is_empty()) {
        (false, in_none) => in_none,
        (true, false) => true,
        // Across all namespaces there are only collections.
        (true, true) => name.is_empty(),
    };
    let address =
        ResourceAddress { kind: kind.clone(), namespace: namespace.to_owned(), name: name.to_owned(), subresource };
    fits.then_some(address)
}

fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    String::from_utf8(out).ok()
}
