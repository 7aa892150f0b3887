package opensearch

import (
	"fmt"
	"strings"

	"lms/apps/search/internal/search"
)

// object is a part of a request body.
type object = map[string]any

// compile writes a query of the domain in the language of OpenSearch. Its own scores
// depend on all documents; these only on what matches, as the domain wants it.
func compile(q search.Query) object {
	switch q := q.(type) {
	case nil:
		return scored(object{"match_all": object{}}, 0)
	case search.Term:
		return scored(object{"term": object{q.Field: q.Value}}, q.Score)
	case search.Fuzzy:
		return scored(object{"fuzzy": object{q.Field: object{
			"value": q.Value, "fuzziness": q.Edits, "prefix_length": q.Prefix, "transpositions": true,
			// All words that are near enough, and not only the nearest fifty.
			"rewrite": "constant_score",
		}}}, q.Score)
	case search.Prefix:
		return scored(object{"prefix": object{q.Field: object{"value": q.Value, "rewrite": "constant_score"}}}, q.Score)
	case search.Phrase:
		return scored(phrase(q), q.Score)
	case search.In:
		return scored(object{"terms": object{q.Field: q.Values}}, 0)
	case search.Range:
		return scored(numbers(q), 0)
	case search.All:
		return object{"bool": object{"must": each(q)}}
	case search.Best:
		return object{"dis_max": object{"queries": each(q)}}
	case search.Most:
		return object{"bool": object{"should": each(q.Of), "minimum_should_match": q.Least}}
	case search.Scored:
		return object{"bool": object{"must": []object{compile(q.Must)}, "should": each(q.Should), "must_not": each(q.Not), "minimum_should_match": 0}}
	}
	panic(fmt.Sprintf("query of an unknown kind: %T", q)) // the domain has no others
}

func each(qs []search.Query) []object {
	out := make([]object, len(qs))
	for i, q := range qs {
		out[i] = compile(q)
	}
	return out
}

func scored(filter object, score float64) object {
	return object{"constant_score": object{"filter": filter, "boost": score}}
}

// phrase is written as neighbouring terms: what is looked for is words already.
func phrase(q search.Phrase) object {
	var clauses []object
	for _, w := range q.Words {
		clauses = append(clauses, object{"match": object{"query": w, "analyzer": "keyword"}})
	}
	return object{"intervals": object{q.Field: object{"all_of": object{"ordered": true, "max_gaps": 0, "intervals": clauses}}}}
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

// layout is the mapping of an index.
func layout() object {
	fields := object{"source": object{"type": "object", "enabled": false}}
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
	for _, name := range append(s.Keys, s.Sorts...) {
		fields[name] = object{"type": "keyword"}
	}
	for _, name := range s.Numbers {
		fields[name] = object{"type": "double"}
	}
	return object{"dynamic": "strict", "properties": fields}
}

func body(q search.Request) object {
	out := object{
		"query": compile(q.Query), "size": q.Size, "track_total_hits": true, "version": true, "_source": []string{"source"}, "sort": order(q.Sort),
	}
	if q.After != nil {
		after := make([]any, len(q.After))
		for i, v := range q.After {
			after[i] = v
		}
		out["search_after"] = after
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
