package opensearch

import (
	"fmt"
	"slices"
	"strings"

	"lms/apps/search/internal/search"
)

// object is a part of a request body.
type object = map[string]any

// compile writes a query of the domain in the language of OpenSearch. Its own scores
// depend on all documents; these only on what matches, as the domain wants it. What
// has no score is a filter: nothing is added up for it, and what it finds may be kept.
func compile(q search.Query) object {
	if unscored(q) {
		return scored(matching(q), 0)
	}
	switch q := q.(type) {
	case search.All:
		return both(q, nil, nil)
	case search.Best:
		return best(q)
	case search.Most:
		return object{"bool": object{"should": each(q.Of, compile), "minimum_should_match": q.Least}}
	case search.Scored:
		return both([]search.Query{q.Must}, q.Should, q.Not)
	}
	score, _ := flat(q)
	return scored(matching(q), score)
}

// unscored says whether a query gives no score to what it matches.
func unscored(q search.Query) bool {
	switch q := q.(type) {
	case nil, search.In, search.Range:
		return true
	case search.All:
		return !slices.ContainsFunc(q, worth)
	case search.Best:
		return !slices.ContainsFunc(q, worth)
	case search.Most:
		return !slices.ContainsFunc(q.Of, worth)
	case search.Scored:
		return unscored(q.Must) && !slices.ContainsFunc(q.Should, worth)
	}
	return false
}

func worth(q search.Query) bool { return !unscored(q) }

// flat is the one score of all that a query matches; ok is false where it has several.
func flat(q search.Query) (score float64, ok bool) {
	switch q := q.(type) {
	case search.Term:
		return q.Score, true
	case search.Fuzzy:
		return q.Score, true
	case search.Prefix:
		return q.Score, true
	case search.Phrase:
		return q.Score, true
	}
	return 0, unscored(q)
}

// matching writes what a query matches, for where scores count for nothing.
func matching(q search.Query) object {
	switch q := q.(type) {
	case nil:
		return object{"match_all": object{}}
	case search.Term:
		return object{"term": object{q.Field: q.Value}}
	case search.Fuzzy:
		return object{"fuzzy": object{q.Field: object{
			"value": q.Value, "fuzziness": q.Edits, "prefix_length": q.Prefix, "transpositions": true,
			// All words that are near enough, and not only the nearest fifty.
			"rewrite": "constant_score",
		}}}
	case search.Prefix:
		return object{"prefix": object{q.Field: object{"value": q.Value, "rewrite": "constant_score"}}}
	case search.Phrase:
		return object{"match_phrase": object{q.Field: join(q.Words)}} // cut at spaces again
	case search.In:
		return among(q)
	case search.Range:
		return numbers(q)
	case search.All:
		return object{"bool": object{"filter": each(q, matching)}}
	case search.Best:
		return some(q)
	case search.Most:
		return object{"bool": object{"should": each(q.Of, matching), "minimum_should_match": q.Least}}
	case search.Scored:
		return object{"bool": object{"filter": []object{matching(q.Must)}, "must_not": each(q.Not, matching)}}
	}
	panic(fmt.Sprintf("query of an unknown kind: %T", q)) // the domain has no others
}

func each(qs []search.Query, write func(search.Query) object) []object {
	out := make([]object, len(qs))
	for i, q := range qs {
		out[i] = write(q)
	}
	return out
}

func scored(filter object, score float64) object {
	return object{"constant_score": object{"filter": filter, "boost": score}}
}

// both is what all of must match and none of not; scores of should add to theirs.
func both(must, should, not []search.Query) object {
	filters, scores := []object{}, []object{}
	for _, q := range must {
		if unscored(q) {
			filters = append(filters, matching(q))
		} else {
			scores = append(scores, compile(q))
		}
	}
	if len(filters)+len(scores) == 0 {
		filters = append(filters, matching(nil))
	}
	return object{"bool": object{
		"filter": filters, "must": scores, "should": each(should, compile), "must_not": each(not, matching), "minimum_should_match": 0,
	}}
}

// best takes the highest score. Those of one score are one clause: which of them
// matches makes no difference.
func best(qs search.Best) object {
	var order []float64
	same := map[float64]search.Best{}
	clauses := []object{}
	for _, q := range qs {
		score, ok := flat(q)
		if !ok {
			clauses = append(clauses, compile(q))
			continue
		}
		if same[score] == nil {
			order = append(order, score)
		}
		same[score] = append(same[score], q)
	}
	for _, score := range order {
		clauses = append(clauses, scored(some(same[score]), score))
	}
	if len(clauses) == 1 {
		return clauses[0]
	}
	return object{"dis_max": object{"queries": clauses}}
}

// some is what one of several queries matches. Terms of one field are one clause.
func some(qs []search.Query) object {
	var order []string
	terms := map[string][]string{}
	clauses := []object{}
	for _, q := range qs {
		t, ok := q.(search.Term)
		if !ok {
			clauses = append(clauses, matching(q))
			continue
		}
		if terms[t.Field] == nil {
			order = append(order, t.Field)
		}
		terms[t.Field] = append(terms[t.Field], t.Value)
	}
	for _, field := range order {
		clauses = append(clauses, among(search.In{Field: field, Values: terms[field]}))
	}
	return oneOf(clauses)
}

func oneOf(clauses []object) object {
	if len(clauses) == 1 {
		return clauses[0]
	}
	return object{"bool": object{"should": clauses, "minimum_should_match": 1}}
}

// maxTerms is how many values OpenSearch takes at once.
const maxTerms = 65_536

func among(q search.In) object {
	switch len(q.Values) {
	case 0:
		return object{"match_none": object{}}
	case 1:
		return object{"term": object{q.Field: q.Values[0]}}
	}
	var clauses []object
	for part := range slices.Chunk(q.Values, maxTerms) {
		clauses = append(clauses, object{"terms": object{q.Field: part}})
	}
	return oneOf(clauses)
}

func numbers(q search.Range) object {
	bounds := object{}
	if q.Min != nil {
		bounds["gte"] = *q.Min
	}
	if q.Max != nil {
		bounds["lte"] = *q.Max
	}
	return object{"range": object{q.Field: bounds}}
}

// layout is the mapping of an index. What a document shows is kept of it, and not the
// words as well: they would be read with every hit. A field that an index does not
// know is passed over: one of an older layout goes on until it is made anew.
func layout() object {
	fields := object{fieldSource: object{"type": "object", "enabled": false}}
	text := func(positions bool) object {
		options := "docs"
		if positions {
			options = "positions"
		}
		return object{"type": "text", "analyzer": "whitespace", "norms": false, "index_options": options}
	}
	s := search.Schema()
	for _, name := range s.Phrases {
		fields[name] = text(true)
	}
	for _, name := range s.Words {
		fields[name] = text(false)
	}
	for _, name := range s.Keys {
		fields[name] = object{"type": "keyword"}
	}
	for _, name := range s.Sorts {
		fields[name] = object{"type": "keyword", "index": false} // nobody looks for one
	}
	for _, name := range s.Numbers {
		fields[name] = object{"type": "double"}
	}
	return object{"dynamic": "false", "properties": fields}
}

// fieldSource is what a document shows.
const fieldSource = "source"

func body(q search.Request) object {
	out := object{
		"query": compile(q.Query), "size": q.Size, "track_total_hits": true, "version": true, "_source": []string{fieldSource}, "sort": order(q.Sort),
	}
	if q.After != nil {
		out["search_after"] = q.After
	}
	if len(q.Facets) > 0 {
		aggs := object{}
		for _, f := range q.Facets {
			aggs[f] = object{"terms": object{"field": f, "size": search.MaxBuckets, "order": []object{{"_count": "desc"}, {"_key": "asc"}}}}
		}
		out["aggs"] = aggs
	}
	return out
}

func order(keys []search.Order) []object {
	var out []object
	for _, k := range keys {
		switch {
		case k.Field == "":
			out = append(out, object{"_score": "desc"})
		case k.Desc:
			out = append(out, object{k.Field: object{"order": "desc", "missing": "_last"}})
		default:
			out = append(out, object{k.Field: object{"order": "asc", "missing": "_last"}})
		}
	}
	return append(out, object{search.KeyID: object{"order": "asc", "missing": "_last"}})
}

func join(words []string) string { return strings.Join(words, " ") }
