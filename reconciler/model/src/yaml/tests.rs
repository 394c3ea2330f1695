use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    let error = document(bytes.as_ref(), MANIFEST).unwrap_err();
    format!("{}:{} {} {}", error.position.line, error.position.column, error.rule, error.message)
}

#[test]
fn a_document_has_the_place_of_each_field() {
    let text = "spec:\n  parameters: {title: Té, m: 1}\n  egress:\n    - a:1\n    - b:2\n";
    let (value, places) = document(text.as_bytes(), MANIFEST).unwrap();
    assert_eq!(value, json!({"spec": {"parameters": {"title": "Té", "m": 1}, "egress": ["a:1", "b:2"]}}));
    let at = |path: &str| places[path].value;
    assert_eq!(at("spec.parameters.title"), Position { line: 2, column: 23 });
    assert_eq!(at("spec.parameters.m"), Position { line: 2, column: 30 });
    assert_eq!(at("spec.egress[1]"), Position { line: 5, column: 7 });
    assert_eq!(places["spec.egress"].key, Position { line: 3, column: 3 });
    assert_eq!(&text[places["spec.parameters.title"].bytes.clone()], "Té");
}

#[test]
fn what_is_no_plain_text_is_refused_with_its_place() {
    for (text, expected) in [
        (&b"a: \xff"[..], "1:4 yaml/utf-8 the text is no UTF-8 here"),
        (b"\xef\xbb\xbfa: 1", "1:1 yaml/byte-order-mark the file starts with a byte order mark"),
        (b"a: \"x\x07\"", "1:6 yaml/control-character the control character U+0007 stands here"),
        (b"a:\n\tb: 1", "2:1 yaml/tab a tab stands here, and YAML indents with spaces"),
        (b"a:\n  b: 1\n\tc: 2", "3:1 yaml/tab a tab stands here, and YAML indents with spaces"),
        (b"", "0:0 yaml/empty the file is empty"),
        (b"# nothing\n", "0:0 yaml/empty the file is empty"),
    ] {
        assert_eq!(refusal(text), expected);
    }
}

#[test]
fn what_has_two_meanings_is_refused_with_its_place() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3", "3:1 yaml/duplicate-key a: stands here again, first in line 1"),
        ("s:\n  x: 1\n  'x': 2", "3:3 yaml/duplicate-key s.x: stands here again, first in line 2"),
        ("a: 1\n---\nb: 2", "2:1 yaml/documents a second document starts here, and a manifest is one document"),
        ("a: &x 1", "1:7 yaml/anchor an anchor or alias (`&…`, `*…`) stands here, and they are not read"),
        ("a: *x", "1:4 yaml/anchor an anchor or alias (`&…`, `*…`) stands here, and they are not read"),
        ("a: !!str 1", "1:10 yaml/tag a: has a tag (`!…`), and tags are not read"),
        ("<<: {a: 1}", "1:1 yaml/merge-key merges another mapping (`<<`), and merging is not read"),
        ("1: a", "1:1 yaml/key the key 1 is not text"),
        ("%YAML 1.1\n---\na: no", "1:1 yaml/directive a directive (`%…`) stands here"),
        ("a: [1, 2", "1:4 yaml/syntax `[` is opened and never closed"),
        ("a: 'x", "1:4 yaml/syntax a quote is opened and never closed"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn what_yaml_retypes_must_be_quoted() {
    let message = |text| refusal(format!("a: {text}"));
    assert_eq!(
        message("no"),
        "1:4 yaml/retyped a: no without quotes is read as false by some programs, as text by others"
    );
    for (text, read) in [
        ("0777", "511"),
        ("1_000", "1000"),
        ("on", "true"),
        ("Y", "true"),
        ("0x1F", "31"),
        ("0b11", "3"),
        ("0o17", "15"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-.inf", "-infinity"),
        (".nan", "no number"),
        ("08", "8"),
        ("1_0.5", "10.5"),
        ("-0777", "-511"),
        ("99999999999999999999", "100000000000000000000"),
    ] {
        assert!(message(text).contains(&format!("{text} without quotes is read as {read} by")), "{}", message(text));
    }
    for text in ["2026-11-20", "1.2.3", "v1", "10m", "1e", "0xg", "-a", "a b", "yesterday", "12:30", "1_a", "."] {
        let (value, _) = document(format!("a: {text}").as_bytes(), MANIFEST).unwrap();
        assert_eq!(value, json!({"a": text}));
    }
    for (text, read) in [
        ("1", json!(1)),
        ("-1", json!(-1)),
        ("1.5", json!(1.5)),
        ("1e18", json!(1e18)),
        ("18446744073709551615", json!(u64::MAX)),
        ("true", json!(true)),
        ("~", json!(null)),
        ("", json!(null)),
        ("0", json!(0)),
        ("\"no\"", json!("no")),
    ] {
        let (value, _) = document(format!("a: {text}").as_bytes(), MANIFEST).unwrap();
        assert_eq!(value, json!({"a": read}));
    }
}

#[test]
fn a_hundred_thousand_brackets_and_an_alias_bomb_are_refused_at_once() {
    let started = std::time::Instant::now();
    for open in ["[", "{", "- ", "? ", "a: [", "[{"] {
        let error = document(open.repeat(100_000).as_bytes(), YamlLimits { bytes: 1 << 20, depth: 32 }).unwrap_err();
        assert!([Rule::YAML_DEPTH, Rule::YAML_SYNTAX].contains(&error.rule), "{open} {error}");
    }
    assert!(
        refusal("[".repeat(100_000)).contains("yaml/depth more than 32 mappings and lists stand inside one another")
    );
    let mut bomb = "a: &a [x]\n".to_owned();
    for (of, name) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        bomb += &format!("{name}: &{name} [{}]\n", format!("*{of},").repeat(9));
    }
    assert!(refusal(&bomb).starts_with("1:7 yaml/anchor"));
    assert!(refusal(" ".repeat(300 << 10)).ends_with("the file has 300 KiB, at most 256 KiB are possible"));
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn what_is_large_is_read_in_time_and_memory_that_grow_with_it() {
    let started = std::time::Instant::now();
    let keys: String = (0..25_000).map(|n| format!("k{n}: 1\n")).collect();
    assert_eq!(document(keys.as_bytes(), MANIFEST).unwrap().1.len(), 25_000);
    let deep: String = (0..30).map(|depth| format!("{}{}:\n", " ".repeat(depth), "k".repeat(1000))).collect();
    let list = format!("{deep}{}[{}]", " ".repeat(30), "1,".repeat(90_000));
    assert!(document(list.as_bytes(), MANIFEST).unwrap().1.len() < 100);
    for piece in
        ["\"\\", "? ", "!", "a: |\n", "'", "a\n", "#\n", "\n", "- a\n", "[a,", "{a: ", "a:\n ", "%a\n", "--- a\n", ", "]
    {
        let _ = document(piece.repeat(MANIFEST.bytes / piece.len()).as_bytes(), MANIFEST);
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn objects_are_all_documents_but_the_empty_ones() {
    let text = "---\n# nothing\n---\na: 1\n---\n---\nb: no text\n";
    assert_eq!(objects(text, OBJECTS).unwrap(), [json!({"a": 1}), json!({"b": "no text"})]);
    assert_eq!(objects("", OBJECTS).unwrap(), Vec::<Value>::new());
    let error = objects("a: 1\n---\na: 1\nb: 0755", OBJECTS).unwrap_err();
    assert_eq!((error.rule, error.position), (Rule::YAML_RETYPED, Position { line: 4, column: 4 }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = document(&bytes, MANIFEST);
    }

    #[test]
    fn no_yaml_like_text_panics(text in r#"([a-c]|[ \n\t]|: |- |\? |[\[\]{},&*!|>'"%#]|---\n|\u{feff}|é){0,60}"#) {
        let _ = document(text.as_bytes(), MANIFEST);
        let _ = objects(&text, OBJECTS);
    }

    /// Where this reader accepts, the two others read the same.
    #[test]
    fn what_is_accepted_reads_the_same_elsewhere(text in "[-+.0-9_a-fxoyneYNO~]{1,6}") {
        let yaml = format!("a: {text}");
        if let Ok((value, _)) = document(yaml.as_bytes(), MANIFEST) {
            let old: Value = serde_yaml::from_str(&yaml).unwrap();
            let new: Value = serde_saphyr::from_str(&yaml).unwrap();
            prop_assert_eq!(&value, &old);
            prop_assert_eq!(&value, &new);
        }
    }
}
