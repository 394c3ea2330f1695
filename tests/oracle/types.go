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

// zeros says how a type's zero values are written: what clients notice, and OpenAPI doesn't say.
type zeros struct {
	// Omitted fields are left out of JSON when they are zero.
	Omitted []string
	// Nullable fields are lists, maps and times that are written as null when they are absent.
	Nullable []string
}

// printOmitted writes the zeros of each type of the API.
func printOmitted(to io.Writer) {
	types := map[string]zeros{}
	for kind, goType := range legacyscheme.Scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal {
			visit(goType, types)
		}
	}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", " ")
	_ = encoder.Encode(types)
}

func visit(goType reflect.Type, types map[string]zeros) {
	switch goType.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		visit(goType.Elem(), types)
	case reflect.Struct:
		name := strings.ReplaceAll(strings.Replace(goType.PkgPath(), "k8s.io", "io.k8s", 1), "/", ".") + "." + goType.Name()
		if _, visited := types[name]; visited {
			return
		}
		types[name] = zeros{}
		found := zeros{}
		omitted(goType, types, &found)
		sort.Strings(found.Omitted)
		sort.Strings(found.Nullable)
		types[name] = found
	}
}

func omitted(goType reflect.Type, types map[string]zeros, found *zeros) {
	for i := range goType.NumField() {
		field := goType.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := field.Type.Kind()
		if name == "" && field.Anonymous && kind == reflect.Struct {
			omitted(field.Type, types, found)
			continue
		}
		omits := strings.Contains(options, "omit")
		if omits && kind != reflect.Pointer && kind != reflect.Struct {
			found.Omitted = append(found.Omitted, name)
		}
		isList := !omits && (kind == reflect.Slice || kind == reflect.Map)
		isTime := kind == reflect.Struct && strings.HasSuffix(field.Type.Name(), "Time")
		if isList || (isTime && !strings.Contains(options, "omitzero")) {
			found.Nullable = append(found.Nullable, name)
		}
		visit(field.Type, types)
	}
}
