package search

import (
	"context"
	"encoding/json"
	"slices"

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
	names, err := x.around(ctx, batch)
	if err != nil {
		return all(errs, err)
	}
	var docs []Document
	var renamed, told []uuid.UUID
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
		if kind, id := split(d.ID); kind == TypeCourse || kind == typeOutline {
			told = append(told, id)
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
	if err := x.outline(ctx, told); err != nil {
		return all(errs, err)
	}
	return errs
}

// outline writes courses again whose documents do not have the titles of what their
// curricula show, under the versions that they have. It comes after what was told was
// written: of two that tell of a course at once the later one sees both.
func (x *Indexer) outline(ctx context.Context, courses []uuid.UUID) error {
	ids := make([]string, 0, 2*len(courses))
	for _, id := range courses {
		ids = append(ids, DocumentID(TypeCourse, id), DocumentID(typeOutline, id))
	}
	known, err := x.Engine.Fetch(ctx, ids)
	if err != nil || len(known) == 0 {
		return err
	}
	var docs []Document
	for _, id := range courses {
		course, ok := known[DocumentID(TypeCourse, id)]
		if !ok {
			continue
		}
		var s Source
		var o outlineSource
		if err := json.Unmarshal(course.Source, &s); err != nil {
			return apperr.Internal(err)
		}
		if outline, ok := known[DocumentID(typeOutline, id)]; ok {
			if err := json.Unmarshal(outline.Source, &o); err != nil {
				return apperr.Internal(err)
			}
		}
		if s.Course != nil && s.Text != o.Titles {
			docs = append(docs, x.Maker.Course(*s.Course, course.Version, Around{Outline: o.Titles}))
		}
	}
	if len(docs) == 0 {
		return nil
	}
	return x.Engine.Write(ctx, docs)
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

// around is what is known of what documents of courses have of others: a course that
// was told before its category got another name says the old one.
type around struct {
	now      map[uuid.UUID]string // what categories are called
	renamed  map[int]uuid.UUID    // categories by the place of their change in the batch
	outlines map[uuid.UUID]string // titles in courses
}

func (x *Indexer) around(ctx context.Context, batch []Change) (around, error) {
	out := around{now: map[uuid.UUID]string{}, renamed: map[int]uuid.UUID{}, outlines: map[uuid.UUID]string{}}
	var ids []string
	for i, c := range batch {
		var part struct {
			ID         uuid.UUID  `json:"id"` // of a course
			CategoryID *uuid.UUID `json:"category_id"`
		}
		if json.Unmarshal(c.Data, &part) != nil {
			continue // what cannot be read fails for itself
		}
		if part.CategoryID != nil {
			ids = append(ids, DocumentID(typeCategory, *part.CategoryID))
			if c.Type == events.TypeCategoryRenamed {
				out.renamed[i] = *part.CategoryID
			}
		}
		if part.ID != uuid.Nil && slices.Contains(Indexed()[events.TopicCourse], c.Type) {
			ids = append(ids, DocumentID(typeOutline, part.ID))
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	return out, x.read(ctx, ids, out)
}

// read reads names of categories and titles in courses.
func (x *Indexer) read(ctx context.Context, ids []string, into around) error {
	known, err := x.Engine.Fetch(ctx, ids)
	if err != nil {
		return err
	}
	for id, h := range known {
		var s struct {
			categorySource
			outlineSource
		}
		if err := json.Unmarshal(h.Source, &s); err != nil {
			return apperr.Internal(err)
		}
		if kind, of := split(id); kind == typeCategory {
			into.now[of] = s.Name
		} else {
			into.outlines[of] = s.Titles
		}
	}
	return nil
}

// document is what a change makes, nil for nothing.
func (x *Indexer) document(ctx context.Context, c Change, names around) (*Document, error) {
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
				d = x.Maker.Course(state, c.Seq, Around{Category: nameOf(state, names), Outline: names.outlines[state.ID]})
				return &d, nil
			}
		}
		return nil, nil //nolint:nilnil // about quizzes and uploads, or not known yet
	}
	return &d, nil
}

func nameOf(c events.CourseState, names around) string {
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
	known := around{now: map[uuid.UUID]string{}}
	if err := x.read(ctx, []string{DocumentID(typeCategory, category)}, known); err != nil {
		return err
	}
	var after []string
	for {
		res, err := x.Engine.Search(ctx, Request{Query: In{KeyCategory, []string{category.String()}}, After: after, Size: renamePage, Written: true})
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
				docs = append(docs, x.Maker.Course(*s.Course, h.Version, Around{Category: known.now[category], Outline: s.Text}))
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
