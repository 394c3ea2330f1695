package main

import (
	"encoding/json"
	"io"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// printOmitted writes, for each type of the API, the fields that are left out of JSON when they are zero:
// the one thing that clients notice, and that OpenAPI doesn't say.
func printOmitted(to io.Writer) {
	types := map[string][]string{}
	for kind, goType := range legacyscheme.Scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal {
			visit(goType, types)
		}
	}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", " ")
	_ = encoder.Encode(types)
}

func visit(goType reflect.Type, types map[string][]string) {
	switch goType.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		visit(goType.Elem(), types)
	case reflect.Struct:
		name := strings.ReplaceAll(strings.Replace(goType.PkgPath(), "k8s.io", "io.k8s", 1), "/", ".") + "." + goType.Name()
		if _, visited := types[name]; visited {
			return
		}
		types[name] = []string{}
		types[name] = omitted(goType, types)
		sort.Strings(types[name])
	}
}

func omitted(goType reflect.Type, types map[string][]string) []string {
	fields := []string{}
	for i := range goType.NumField() {
		field := goType.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := field.Type.Kind()
		if name == "" && field.Anonymous && kind == reflect.Struct {
			fields = append(fields, omitted(field.Type, types)...)
			continue
		}
		if strings.Contains(options, "omit") && kind != reflect.Pointer && kind != reflect.Struct {
			fields = append(fields, name)
		}
		visit(field.Type, types)
	}
	return fields
}
