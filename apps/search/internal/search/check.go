package search

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/shared/contracts/internalapi"
	"lms/shared/page"
)

// Differences compares the index with what the owning services say, one page at a
// time. They say also what was deleted and should not be there. What was told a
// moment ago and is on its way is a difference too: it is gone at the next look. With
// repair it is put right.
func (b *Builder) Differences(ctx context.Context, in internalapi.RecomputeRequest) (out internalapi.RecomputeReply, err error) {
	stage, cursor := "courses", ""
	if _, err := page.Decode(in.Cursor, &stage, &cursor); err != nil {
		return out, err
	}
	out.Differences = []internalapi.Difference{}
	var docs []Document
	next := ""
	switch stage {
	case "courses":
		docs, next, err = b.courses(ctx, cursor)
	case "contents":
		docs, next, err = b.contents(ctx, cursor)
	}
	if err != nil {
		return out, err
	}
	wrong, err := b.compare(ctx, docs, &out)
	if err != nil {
		return out, err
	}
	if in.Repair && len(wrong) > 0 {
		if err := b.Engine.Write(ctx, wrong); err != nil {
			return out, err
		}
	}
	switch {
	case next != "":
		out.NextCursor = page.Encode(stage, next)
	case stage == "courses":
		out.NextCursor = page.Encode("contents", "")
	}
	return out, nil
}

// compare adds what differs, and gives the documents as they should be.
func (b *Builder) compare(ctx context.Context, docs []Document, out *internalapi.RecomputeReply) (wrong []Document, err error) {
	ids := make([]string, len(docs))
	for i, d := range docs {
		ids[i] = d.ID
	}
	stored, err := b.Engine.Fetch(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		out.Checked++
		have, ok := stored[d.ID]
		says, should := "", ""
		switch {
		case d.Gone && ok:
			says, should = "there", "gone"
		case !d.Gone && !ok:
			says, should = "missing", "there"
		case !d.Gone && !bytes.Equal(have.Source, d.Source):
			says, should = "another state", "the state of the owner"
		default:
			continue
		}
		kind, id := split(d.ID)
		out.Differences = append(out.Differences, internalapi.Difference{Kind: "search_" + kind, ID: id, Field: "document", Stored: says, Computed: should})
		wrong = append(wrong, d)
	}
	return wrong, nil
}

func split(id string) (kind string, of uuid.UUID) {
	i := slices.Index([]byte(id), '.')
	return id[:i], uuid.MustParse(id[i+1:])
}
