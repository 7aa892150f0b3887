package access

import (
	_ "embed" // the gateway's paths
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"lms/shared/contracts/internalapi"
)

// forwardedJSON is written by the gateway's tests from its table of routes.
//
//go:embed forwarded.json
var forwardedJSON []byte

// Forwarded are the paths that the gateway sends to a service, with all that lies
// under them; {} stands for one segment.
func Forwarded(app string) ([]string, error) {
	var all map[string][]string
	if err := json.Unmarshal(forwardedJSON, &all); err != nil {
		return nil, fmt.Errorf("forwarded.json: %w", err)
	}
	return all[app], nil
}

// Operation is a path as an access policy names it, and the methods that pass.
type Operation struct {
	Name  string
	Verbs []string
}

// Policy is what one app may call.
type Policy struct {
	Caller     string // app id
	Operations []Operation
}

// forwardedVerbs are all that the gateway lets through.
func forwardedVerbs() []string {
	return []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut}
}

// CallerApp is the app whose sidecar a caller calls through: the operator's
// command has none of its own.
func CallerApp(caller string) string {
	if caller == internalapi.OperatorApp {
		return Gateway
	}
	return caller
}

// Policies are what each app may call of one, in the order of their names.
func Policies(app string) ([]Policy, error) {
	allowed := map[string]map[string][]string{} // caller → pattern → methods
	allow := func(caller, pattern string, verbs ...string) {
		if allowed[caller] == nil {
			allowed[caller] = map[string][]string{}
		}
		allowed[caller][pattern] = append(allowed[caller][pattern], verbs...)
	}
	for _, r := range Routes() {
		if r.App != app {
			continue
		}
		for _, caller := range r.Callers {
			allow(CallerApp(caller), pattern(r.Path), r.Method)
		}
	}
	paths, err := Forwarded(app)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		allow(Gateway, pattern(p+"/{}{}"), forwardedVerbs()...)
	}
	var out []Policy
	for _, caller := range Apps() {
		if err := distinct(allowed[caller]); err != nil {
			return nil, fmt.Errorf("%s at %s: %w", caller, app, err)
		}
		if operations := merged(allowed[caller]); len(operations) > 0 {
			out = append(out, Policy{Caller: caller, Operations: operations})
		}
	}
	slices.SortFunc(out, func(a, b Policy) int { return strings.Compare(a.Caller, b.Caller) })
	return out, nil
}

// Wildcards of a policy. daprd keeps the names of operations in a tree, a segment
// per level, and takes at each level the first that fits, without ever coming
// back. "/**" stands for one segment in the middle, where "/*" fits nothing, and for
// everything that follows at the end. An id at the end is written by its form: "/*"
// there would also let in to the path above it, which lists what the id names one of.
const (
	anyID    = "/*-*-*-*-*"
	anything = "/**"
)

// pattern is a route's path as a policy names it. {}{} at the end is everything.
func pattern(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var b strings.Builder
	for i, s := range segments {
		switch last := i == len(segments)-1; {
		case s == "{}{}":
			b.WriteString(anything)
		case strings.HasPrefix(s, "{") && last:
			b.WriteString(anyID)
		case strings.HasPrefix(s, "{"):
			b.WriteString(anything)
		default:
			b.WriteString("/" + s)
		}
	}
	return b.String()
}

// merged orders a caller's operations as daprd has to meet them. A name that ends
// above others hides them: daprd stops at the first that has an action. So it
// takes their methods over, and they are left out.
func merged(patterns map[string][]string) []Operation {
	var out []Operation
	for p, verbs := range patterns {
		if slices.ContainsFunc(slices.Collect(maps.Keys(patterns)), func(above string) bool { return hides(above, p) }) {
			continue
		}
		verbs = slices.Clone(verbs)
		for below, more := range patterns {
			if hides(p, below) {
				verbs = append(verbs, more...)
			}
		}
		slices.Sort(verbs)
		out = append(out, Operation{Name: p, Verbs: slices.Compact(verbs)})
	}
	slices.SortFunc(out, func(a, b Operation) int { return compare(a.Name, b.Name) })
	return out
}

// hides says whether daprd, looking for what below names, would stop at above.
func hides(above, below string) bool {
	if above == below {
		return false
	}
	prefix, everything := strings.CutSuffix(above, anything)
	if everything {
		return below == prefix || strings.HasPrefix(below, prefix+"/")
	}
	return strings.HasPrefix(below, above+"/")
}

// distinct refuses what daprd would take for one another: an id at the end, and a
// segment in the middle under the same path.
func distinct(patterns map[string][]string) error {
	for p := range patterns {
		above, isID := strings.CutSuffix(p, anyID)
		for q := range patterns {
			if isID && strings.HasPrefix(q, above+anything+"/") {
				return fmt.Errorf("daprd cannot tell %s from %s", p, q)
			}
		}
	}
	return nil
}

// compare puts names before wildcards, level by level.
func compare(a, b string) int {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(as), len(bs)) {
		if as[i] == bs[i] {
			continue
		}
		if x, y := strings.Count(as[i], "*"), strings.Count(bs[i], "*"); x != y {
			return x - y
		}
		return strings.Compare(as[i], bs[i])
	}
	return len(as) - len(bs)
}

// Document is the Configuration by which the sidecar of an app lets calls in,
// beside the one of all sidecars.
func Document(app string) ([]byte, error) {
	policies, err := Policies(app)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Who may call which route of %s, for sidecars with mTLS. make generate writes
# this file from shared/contracts/access; README.md says how daprd reads it.
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: lms-%s
spec:
  accessControl:
    defaultAction: deny
    trustDomain: public
`, app, app)
	if len(policies) > 0 {
		b.WriteString("    policies:\n")
	}
	for _, p := range policies {
		fmt.Fprintf(&b, "      - appId: %s\n        defaultAction: deny\n        trustDomain: public\n        namespace: default\n        operations:\n", p.Caller)
		for _, o := range p.Operations {
			fmt.Fprintf(&b, "          - { name: %q, httpVerb: [%s], action: allow }\n", o.Name, strings.Join(o.Verbs, ", "))
		}
	}
	return []byte(b.String()), nil
}
