// Command driver runs checks against a scene of servers, and prints one line of JSON for each:
// {"check": …, "problem": …}, without a problem if it holds. A check of the list that is not here
// has a problem, too.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
)

type checks map[string]func(*scene)

type result struct {
	Check   string `json:"check"`
	Problem string `json:"problem,omitempty"`
}

func main() {
	addresses := parsed[map[string]string]([]byte(os.Args[1]))
	names := parsed[[]string]([]byte(os.Args[2]))
	values := read[map[string]any](addresses, "values.json")
	all := checks{}
	for _, each := range []checks{
		keyChecks, snapshotChecks, readChecks, writeChecks, leaseChecks, accessChecks,
		wireChecks, newerChecks, watchChecks, referenceChecks, errorChecks(addresses),
	} {
		maps.Copy(all, each)
	}
	out := json.NewEncoder(os.Stdout)
	for _, name := range names {
		scene := newScene(addresses, values, name)
		must(out.Encode(result{name, problemOf(all[name], scene)}))
		scene.close()
	}
}

// problemOf is what a check finds, "" if it holds.
func problemOf(check func(*scene), scene *scene) (problem string) {
	if check == nil {
		return "not implemented"
	}
	defer func() {
		if found := recover(); found != nil {
			problem = fmt.Sprintf("%v\n%s", found, debug.Stack())
		}
	}()
	check(scene)
	return ""
}

// read is a file that all drivers have.
func read[T any](addresses map[string]string, name string) T {
	text, err := os.ReadFile(filepath.Join(addresses["data"], name))
	must(err)
	return parsed[T](text)
}

func parsed[T any](text []byte) (value T) {
	must(json.Unmarshal(text, &value))
	return value
}
