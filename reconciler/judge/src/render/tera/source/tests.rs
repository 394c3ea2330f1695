use super::*;

fn read(text: &str) -> Result<TeraSource, String> {
    TeraSource::read("t.yaml", text).map_err(|found| found.to_string())
}

#[test]
fn every_expression_is_wrapped() {
    let text = "{{ a }}{%- if b -%}{% set c = d ~ '}}' %}{% for e, f in g %}{{- h | upper -}}{% endfor %}{% endif %}";
    assert_eq!(
        read(text).unwrap().rewritten,
        "{{ 22 | __start }}{{ (a) | __hole }}{%- if (b) | __truth -%}{% set c = (d ~ '}}') | __keep %}\
         {% for e, f in (g) | __each(work=5) %}{{- (h | upper) | __hole -}}{% endfor %}{% endif %}"
    );
}

#[test]
fn what_is_no_expression_stays_as_it_is() {
    let text = "a: {b: {c: 1}} {# {{ x }} #}{% raw %}{{ y }}{% endraw %}{% include \"_z.yaml\" %}";
    assert_eq!(read(text).unwrap().rewritten.split_once("}}").unwrap().1, text);
}

#[test]
fn names_are_found_with_their_field_and_nothing_else_is() {
    let source = read("{{ app.name | join(sep=x) }}{% if not y is defined and range(end=2) %}{% endif %}").unwrap();
    let names: Vec<_> = source.names.iter().map(|n| (n.root.as_str(), n.field.as_deref())).collect();
    assert_eq!(names, [("app", Some("name")), ("x", None), ("y", None)]);
}

#[test]
fn a_clock_an_environment_variable_and_chance_do_not_exist() {
    for name in ["now", "get_env", "env", "get_random", "load_data", "rand"] {
        let error = read(&format!("a: 1\nb: {{{{ {name}(name=\"HOME\") }}}}")).unwrap_err();
        assert_eq!(error, format!("t.yaml:2:7: there is no function `{name}`"));
    }
}

#[test]
fn other_ways_to_loop_or_grow_are_refused() {
    for text in [
        "{% component a() %}{% endcomponent %}",
        "{% block a %}{% endblock %}",
        "{% extends \"a\" %}",
        "{% set a %}{{ a }}{% endset %}",
        "{% filter upper %}{% endfilter %}",
        "{{ [x for x in y] }}",
        "{{ <a /> }}",
        "{{ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a }}",
        "{{ a | safe }}",
        "{{ a | __hole }}",
        "{{ a.b) if true else (\"\" }}",
        "{% for a in range(end=1000)) if true else ([] %}{% endfor %}",
        "{% set a = b) if true else (c %}",
        "{% if a) or (b[0 %}{% endif %}",
        "{{ (a] }}",
        "{{ a",
        "{% raw %}",
        "{# a",
        "{{ 'a }}",
        "a: \u{e000}1\u{e001}",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn a_place_in_what_tera_reads_is_a_place_in_the_file() {
    let text = "x\n  {{ one }} {{ two }}\n";
    let source = read(text).unwrap();
    for name in ["one", "two"] {
        let place = source.original(text, source.rewritten.find(name).unwrap());
        assert_eq!(place, Position::of(text, text.find(name).unwrap()), "{name}");
    }
}
