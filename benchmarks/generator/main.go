// Command generator is the load of `make scale` and `make peers`: thousands of Watch streams that
// behave as clients' near caches do, and unary calls. It speaks HTTP/2 and protobuf by itself, so
// that a watcher costs it far less than its server.
//
// Each line of its input is a command, a JSON array of a name and an argument; each line of its
// output is the answer, {"result": …} or {"error": …}. It ends with its input.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

const longestLine = 1 << 27

func main() {
	fleet := newFleet()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		result, err := fleet.command(lines.Bytes())
		answer := map[string]any{"result": result}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		if out.Encode(answer) != nil {
			return
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (f *fleet) command(line []byte) (any, error) {
	var words []json.RawMessage
	if err := json.Unmarshal(line, &words); err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("no command")
	}
	var name string
	if err := json.Unmarshal(words[0], &name); err != nil {
		return nil, err
	}
	argument := json.RawMessage("{}")
	if len(words) > 1 {
		argument = words[1]
	}
	switch name {
	case "open":
		return with(argument, func(given opening) (any, error) { return nil, f.grow(given) })
	case "churn":
		return with(argument, func(given churning) (any, error) {
			go f.churn(given.Rate, given.Seconds)
			return nil, nil
		})
	case "state":
		return f.state(), nil
	case "window":
		return f.window(), nil
	case "push":
		return with(argument, func(given pushed) (any, error) { return given.run(f) })
	case "write":
		return with(argument, func(given paced) (any, error) { return given.run(f) })
	case "load":
		return with(argument, func(given load) (any, error) { return given.run() })
	}
	return nil, fmt.Errorf("there is no command %q", name)
}

// churning says how many connections are cut a second, and for how long.
type churning struct {
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
}

// with runs a command with its argument.
func with[T any](argument []byte, run func(T) (any, error)) (any, error) {
	var given T
	if err := json.Unmarshal(argument, &given); err != nil {
		return nil, err
	}
	return run(given)
}
