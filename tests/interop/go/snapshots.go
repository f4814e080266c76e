package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
)

type snapshotVector struct {
	Name, Id string
	Context  map[string]any
}

// snapshotName is the name of the snapshot that this is, with its times, and what it was composed
// from.
func snapshotName(fields map[string]any) string {
	refs := []any{}
	context := map[string]any{}
	for name, value := range fields {
		section, isSection := value.(map[string]any)
		switch {
		case name == "composed_from":
			for _, ref := range value.([]any) {
				key, revision, _ := strings.Cut(ref.(string), "@")
				refs = append(refs, []any{key, revision})
			}
		case name == "created_at" || name == "updated_at" || value == "":
		case isSection && len(section) == 0:
		default:
			context[name] = value
		}
	}
	named := map[string]any{"composed_from": refs, "context": context}
	return fmt.Sprintf("sha256-%x", sha256.Sum256([]byte(canonicalJSON(named))))
}

// canonicalJSON is a value in the form of RFC 8785.
func canonicalJSON(value any) string {
	parts := []string{}
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.SortedFunc(maps.Keys(value), inUTF16) {
			parts = append(parts, canonicalJSON(name)+":"+canonicalJSON(value[name]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		for _, item := range value {
			parts = append(parts, canonicalJSON(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		must(encoder.Encode(value))
		return strings.TrimSuffix(text.String(), "\n")
	case float64:
		if value == 0 {
			return "0" // -0 too
		}
	}
	// Go writes numbers as JavaScript does.
	return string(got(json.Marshal(value)))
}

func inUTF16(one, other string) int {
	return slices.CompareFunc(
		utf16.Encode([]rune(one)), utf16.Encode([]rune(other)), cmp.Compare[uint16],
	)
}

var snapshotChecks = checks{
	"snapshots.names": func(s *scene) {
		path := filepath.Join("..", "contract", "snapshot_vectors.json")
		for _, each := range read[[]snapshotVector](s.addresses, path) {
			equal([]string{each.Name, snapshotName(each.Context)}, []string{each.Name, each.Id})
		}
	},
}
