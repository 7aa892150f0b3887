package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/language"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// Sources gives everything that the owning services know, page by page; next is ""
// at the end.
type Sources interface {
	Courses(ctx context.Context, cursor string) (page []internalapi.CourseDocument, next string, err error)
	Contents(ctx context.Context, cursor string) (page []internalapi.ContentDocument, next string, err error)
}

// Rules name how documents are made; an index by other rules is made anew.
func Rules() string { return "3." + language.Version }

// Builder makes an index anew from the services that own what is in it.
type Builder struct {
	Engine  Engine
	Maker   Maker
	Sources Sources
	// Settle is how long other replicas may take to see that a new index is being
	// made, and to write to it too.
	Settle time.Duration
}

// Rebuild makes a new index and puts it in the place of the one in use. Meanwhile that
// one answers, and everything that is told is written to both. progress is told of
// what was written so far, and ends the rebuild by an error.
func (b *Builder) Rebuild(ctx context.Context, progress func(done, total int64) error) (err error) {
	total, err := b.expected(ctx)
	if err != nil {
		return err
	}
	next, err := b.Engine.Begin(ctx, Rules())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, next.Abort(context.WithoutCancel(ctx)))
		}
	}()
	// Only what is read from now on includes what was told to the old index alone.
	if err := wait(ctx, b.Settle); err != nil {
		return err
	}
	var done int64
	write := func(docs []Document) error {
		if err := next.Write(ctx, docs); err != nil {
			return err
		}
		done += int64(len(docs))
		return progress(done, max(total, done))
	}
	if err := b.carryOver(ctx, write); err != nil {
		return err
	}
	if err := b.each(ctx, write); err != nil {
		return err
	}
	return next.Commit(ctx)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// expected is about how many documents there will be: as many as there are.
func (b *Builder) expected(ctx context.Context) (int64, error) {
	res, err := b.Engine.Search(ctx, Request{})
	return int64(res.Total), err
}

// carryOver copies what no service is asked for: names of categories, by version.
func (b *Builder) carryOver(ctx context.Context, write func([]Document) error) error {
	var after []string
	for {
		res, err := b.Engine.Search(ctx, Request{Query: In{KeyType, []string{typeCategory}}, After: after, Size: renamePage})
		if err != nil || len(res.Hits) == 0 {
			return err
		}
		var docs []Document
		for _, h := range res.Hits {
			var s categorySource
			if err := json.Unmarshal(h.Source, &s); err != nil {
				return apperr.Internal(err)
			}
			d := plain(typeCategory, uuid.MustParse(h.ID[len(typeCategory)+1:]), uuid.Nil, h.Version, s)
			docs, after = append(docs, d), h.Sort
		}
		if err := write(docs); err != nil {
			return err
		}
	}
}

// each gives every document that the owning services make, in pages.
func (b *Builder) each(ctx context.Context, write func([]Document) error) error {
	for _, pages := range []func(context.Context, string) ([]Document, string, error){b.courses, b.contents} {
		for cursor, more := "", true; more; more = cursor != "" {
			docs, next, err := pages(ctx, cursor)
			if err != nil {
				return err
			}
			if err := write(docs); err != nil {
				return err
			}
			cursor = next
		}
	}
	return nil
}

func (b *Builder) courses(ctx context.Context, cursor string) (docs []Document, next string, err error) {
	list, next, err := b.Sources.Courses(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("courses: %w", err)
	}
	for _, c := range list {
		docs = append(docs, b.Maker.Course(c.Course, c.Seq, Around{Outline: titlesShown(c.Curriculum)}))
		if !c.Course.Deleted {
			docs = append(docs, b.Maker.Outline(c.Curriculum, c.Seq))
		}
	}
	return docs, next, nil
}

func (b *Builder) contents(ctx context.Context, cursor string) (docs []Document, next string, err error) {
	list, next, err := b.Sources.Contents(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("contents: %w", err)
	}
	for _, c := range list {
		docs = append(docs, b.Maker.Content(c.Content, c.Text, c.Seq))
	}
	return docs, next, nil
}
