package events

import (
	"time"

	"github.com/google/uuid"
)

// TopicContent is the topic of every event of the content service.
const TopicContent = "content.events"

func exampleContentID(last byte) uuid.UUID {
	id := uuid.MustParse("0197c047-0000-7000-8000-000000000000")
	id[15] = last
	return id
}

func exampleContent() ContentState {
	at := time.Date(2026, 4, 7, 10, 15, 0, 0, time.UTC)
	width, height, duration := 1920, 1080, int64(754_000)
	course := exampleContentID(4)
	return ContentState{
		ID: exampleContentID(1), TenantID: exampleContentID(2), OrgUnitID: exampleContentID(3),
		OrgUnitPath: []uuid.UUID{exampleContentID(2), exampleContentID(3)}, CourseID: &course,
		Kind: ContentVideo, Title: "Mitosis in twelve minutes", Description: "How a cell divides.", Language: "en",
		Tags: []string{"biology", "cells"}, Licence: "cc_by", Attribution: "Faculty of Biology", Status: ContentStatusPublished,
		File: &ContentFile{
			Number: 2, Filename: "mitosis.mp4", MediaType: "video/mp4", Size: 73_400_320,
			Width: &width, Height: &height, DurationMS: &duration,
		},
		Captions: []string{"de", "en"}, Text: "A cell divides in five phases.",
		CreatedBy: exampleContentID(5), CreatedAt: at, UpdatedAt: at, PublishedAt: &at, Version: 4,
	}
}

// contentEvents are those of the library and of quizzes.
func contentEvents() []Definition {
	return libraryEvents()
}

func libraryEvents() []Definition {
	c := exampleContent()
	draft := c
	draft.Status, draft.PublishedAt, draft.File, draft.Captions, draft.Text, draft.Version = ContentDraft, nil, nil, []string{}, "", 1
	deleted := c
	deleted.Deleted, deleted.Version = true, 5
	percent := 38
	state := func(summary string, e Event) Definition {
		return Definition{Topic: TopicContent, Summary: summary, State: true, Example: e}
	}
	fact := func(summary string, e Event) Definition {
		return Definition{Topic: TopicContent, Summary: summary, Example: e}
	}
	return []Definition{
		state("A content was created as a draft.", ContentCreated{draft}),
		state("A property, the file or the captions of a content changed.", ContentUpdated{ContentState: c, Changed: []string{"file"}}),
		state("A content was published.", ContentPublished{c}),
		state("A published content went back to draft.", ContentUnpublished{draft}),
		state("A content was deleted.", ContentDeleted{deleted}),
		fact("A person watched parts of a recording.", ContentWatched{
			ContentID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.CourseID, UserID: exampleContentID(6),
			Intervals: []WatchedInterval{{FromMS: 0, ToMS: 61_000}, {FromMS: 120_000, ToMS: 180_000}}, WatchedMS: 121_000,
			PositionMS: 180_000, Percent: &percent, DurationMS: c.File.DurationMS, From: c.CreatedAt, To: c.CreatedAt.Add(2 * time.Minute),
		}),
		fact("An uploaded file was not what had been announced.", UploadRejected{
			UploadID: exampleContentID(7), ContentID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, UserID: exampleContentID(5),
			Code: "content_type_mismatch", Announced: "video/mp4", Found: "application/x-elf", Size: 73_400_320, At: c.CreatedAt,
		}),
	}
}
