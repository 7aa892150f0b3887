package search

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Change is something that was told and changes documents.
type Change struct {
	Type string
	Seq  int64
	Data json.RawMessage
}

// Texts asks content for a text that an event could not carry.
type Texts interface {
	Text(ctx context.Context, content uuid.UUID) (string, error)
}

// Indexer keeps the index up with what is told. It may be told anything any number of
// times, in any order: the newest stays.
type Indexer struct {
	Engine Engine
	Maker  Maker
	Texts  Texts
}

// Indexed are the types of events that change documents, by topic.
func Indexed() map[string][]string {
	return map[string][]string{
		events.TopicCourse: {
			events.TypeCourseCreated, events.TypeCourseUpdated, events.TypeCoursePublished, events.TypeCourseUnpublished, events.TypeCourseArchived,
			events.TypeCourseRestored, events.TypeCourseDeleted, events.TypeCourseStaffChanged, events.TypeCurriculumChanged, events.TypeCategoryRenamed,
		},
		events.TopicContent: {
			events.TypeContentCreated, events.TypeContentUpdated, events.TypeContentPublished, events.TypeContentUnpublished, events.TypeContentDeleted,
		},
	}
}

// Apply takes a batch. All documents of it are written at once; an error of a change
// is its own, that of the engine all changes'.
func (x *Indexer) Apply(ctx context.Context, batch []Change) []error {
	errs := make([]error, len(batch))
	names, err := x.names(ctx, batch)
	if err != nil {
		return all(errs, err)
	}
	var docs []Document
	var renamed []uuid.UUID
	for i, c := range batch {
		d, err := x.document(ctx, c, names)
		if err != nil {
			errs[i] = err
			continue
		}
		if d == nil {
			continue // it changes no document
		}
		docs = append(docs, *d)
		if c.Type == events.TypeCategoryRenamed {
			renamed = append(renamed, names.renamed[i])
		}
	}
	if len(docs) == 0 {
		return errs
	}
	if err := x.Engine.Write(ctx, docs); err != nil {
		return all(errs, err)
	}
	for _, id := range renamed {
		if err := x.rename(ctx, id); err != nil {
			return all(errs, err)
		}
	}
	return errs
}

// all gives every change that had no failure of its own the one of all.
func all(errs []error, err error) []error {
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}

// categoryNames are what categories are called now. A course that was told before its
// category got another name says the old one.
type categoryNames struct {
	now     map[uuid.UUID]string
	renamed map[int]uuid.UUID // categories by the place of their change in the batch
}

func (x *Indexer) names(ctx context.Context, batch []Change) (categoryNames, error) {
	out := categoryNames{now: map[uuid.UUID]string{}, renamed: map[int]uuid.UUID{}}
	var ids []string
	newest := map[uuid.UUID]int64{}
	for i, c := range batch {
		var part struct {
			CategoryID *uuid.UUID `json:"category_id"`
			Name       string     `json:"name"`
		}
		if json.Unmarshal(c.Data, &part) != nil || part.CategoryID == nil {
			continue // what cannot be read fails for itself
		}
		ids = append(ids, DocumentID(typeCategory, *part.CategoryID))
		if c.Type == events.TypeCategoryRenamed {
			out.renamed[i] = *part.CategoryID
			if c.Seq > newest[*part.CategoryID] {
				newest[*part.CategoryID] = c.Seq
			}
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	return out, x.readNames(ctx, ids, out.now)
}

func (x *Indexer) readNames(ctx context.Context, ids []string, into map[uuid.UUID]string) error {
	known, err := x.Engine.Fetch(ctx, ids)
	if err != nil {
		return err
	}
	for id, h := range known {
		var s categorySource
		if err := json.Unmarshal(h.Source, &s); err != nil {
			return apperr.Internal(err)
		}
		into[uuid.MustParse(id[len(typeCategory)+1:])] = s.Name
	}
	return nil
}

// document is what a change makes, nil for nothing.
func (x *Indexer) document(ctx context.Context, c Change, names categoryNames) (*Document, error) {
	var d Document
	switch c.Type {
	case events.TypeCurriculumChanged:
		state, err := decode[events.CurriculumState](c)
		if err != nil {
			return nil, err
		}
		d = x.Maker.Outline(state, c.Seq)
	case events.TypeCategoryRenamed:
		state, err := decode[events.CategoryRenamed](c)
		if err != nil {
			return nil, err
		}
		d = x.Maker.Category(state, c.Seq)
	case events.TypeContentCreated, events.TypeContentUpdated, events.TypeContentPublished, events.TypeContentUnpublished, events.TypeContentDeleted:
		state, err := decode[events.ContentState](c)
		if err != nil {
			return nil, err
		}
		text := state.Text
		if state.TextTruncated && !state.Deleted {
			if text, err = x.Texts.Text(ctx, state.ID); err != nil {
				return nil, err
			}
		}
		d = x.Maker.Content(state, text, c.Seq)
	case events.TypeAnnouncementPublished, events.TypeCourseViewed:
		return nil, nil //nolint:nilnil // says nothing about what is found
	default:
		for _, known := range Indexed()[events.TopicCourse] {
			if known == c.Type {
				state, err := decode[events.CourseState](c)
				if err != nil {
					return nil, err
				}
				d = x.Maker.Course(state, c.Seq, nameOf(state, names))
				return &d, nil
			}
		}
		return nil, nil //nolint:nilnil // about quizzes and uploads, or not known yet
	}
	return &d, nil
}

func nameOf(c events.CourseState, names categoryNames) string {
	if c.CategoryID == nil {
		return ""
	}
	return names.now[*c.CategoryID]
}

func decode[T any](c Change) (v T, err error) {
	if err := json.Unmarshal(c.Data, &v); err != nil {
		return v, apperr.New(apperr.KindInvalid, "event_unreadable", "The event cannot be read.").With(err)
	}
	return v, nil
}

// renamePage is how many courses are written again at once.
const renamePage = 200

// rename writes the courses of a category again, with its name of now, under the
// versions that they have: whatever is newer stays.
func (x *Indexer) rename(ctx context.Context, category uuid.UUID) error {
	names := map[uuid.UUID]string{}
	if err := x.readNames(ctx, []string{DocumentID(typeCategory, category)}, names); err != nil {
		return err
	}
	var after []string
	for {
		res, err := x.Engine.Search(ctx, Request{Query: In{KeyCategory, []string{category.String()}}, After: after, Size: renamePage})
		if err != nil {
			return err
		}
		var docs []Document
		for _, h := range res.Hits {
			var s Source
			if err := json.Unmarshal(h.Source, &s); err != nil {
				return apperr.Internal(err)
			}
			if s.Course != nil {
				docs = append(docs, x.Maker.Course(*s.Course, h.Version, names[category]))
			}
			after = h.Sort
		}
		if len(docs) > 0 {
			if err := x.Engine.Write(ctx, docs); err != nil {
				return err
			}
		}
		if len(res.Hits) < renamePage {
			return nil
		}
	}
}
