package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/web"
)

func (a *API) internalRoutes(r *web.Router) {
	op := operation("Internal")
	web.Register(r, op(http.MethodGet, internalapi.PathContent, "internal-content", "All that is known of a content", web.Internal("search")), a.wholeContent)
	web.Register(r, op(http.MethodGet, internalapi.PathContents, "internal-contents", "Every content with its text, page by page", web.Internal("search")), a.allContents)
}

func showDocument(d library.Document) internalapi.ContentDocument {
	// The text stands beside the snapshot as a whole.
	d.State.Text, d.State.TextTruncated = "", false
	return internalapi.ContentDocument{Content: d.State, Text: d.Text, Seq: d.Seq}
}

func (a *API) wholeContent(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.ContentDocument], error) {
	d, err := a.Library.Document(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showDocument(d), 0), nil
}

type allContentsInput struct {
	web.Page
	UpdatedSince time.Time `query:"updated_since"`
}

func (a *API) allContents(ctx context.Context, in *allContentsInput) (*web.Resource[internalapi.ContentPage], error) {
	var after uuid.UUID
	if _, err := page.Decode(in.Cursor, &after); err != nil {
		return nil, err
	}
	var since *time.Time
	if !in.UpdatedSince.IsZero() {
		since = &in.UpdatedSince
	}
	docs, more, err := a.Library.Documents(ctx, after, since, in.Request().Size())
	if err != nil {
		return nil, err
	}
	out := internalapi.ContentPage{Items: make([]internalapi.ContentDocument, len(docs))}
	for i, d := range docs {
		out.Items[i] = showDocument(d)
	}
	if more {
		out.NextCursor = page.Encode(docs[len(docs)-1].State.ID)
	}
	return web.Res(out, 0), nil
}
