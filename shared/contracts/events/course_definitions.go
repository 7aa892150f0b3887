package events

import (
	"time"

	"github.com/google/uuid"
)

// TopicCourse is the topic of every event of the course service.
const TopicCourse = "course.events"

// exampleCourseID makes the readable ids of golden examples.
func exampleCourseID(last byte) uuid.UUID {
	id := uuid.MustParse("0197c0de-0000-7000-8000-000000000000")
	id[15] = last
	return id
}

func exampleCourse() CourseState {
	ptr := func(id uuid.UUID) *uuid.UUID { return &id }
	capacity := 120
	at := time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC)
	opens, closes := at.AddDate(0, 0, 7), at.AddDate(0, 1, 0)
	starts, ends := at.AddDate(0, 1, 0), at.AddDate(0, 6, 0)
	grade := Hundredths(6000)
	return CourseState{
		ID: exampleCourseID(1), TenantID: exampleCourseID(2), OrgUnitID: exampleCourseID(3),
		OrgUnitPath: []uuid.UUID{exampleCourseID(2), exampleCourseID(3)},
		Code:        "BIO-101", Title: "Introduction to biology", Description: "Cells, genes, evolution.",
		Language: "en", Level: "beginner", Tags: []string{"biology", "science"},
		CategoryID: ptr(exampleCourseID(4)), CategoryName: "Natural sciences", TermID: ptr(exampleCourseID(5)),
		ExternalSource: "sis", ExternalID: "4711",
		Status: CoursePublished, Visibility: VisibilityPublic,
		EnrollmentMode: EnrollmentSelf, Capacity: &capacity, WaitlistEnabled: true,
		EnrollmentOpensAt: &opens, EnrollmentClosesAt: &closes, StartsAt: &starts, EndsAt: &ends, Pacing: "instructor",
		PrerequisiteCourses: []uuid.UUID{exampleCourseID(6)},
		PricePlanID:         ptr(exampleCourseID(7)),
		Price:               &CoursePrice{PlanID: exampleCourseID(7), Amount: 4900, Currency: "EUR", Kind: "one_off", Plans: 1},
		RequiresEntitlement: true, Seats: SeatsOpen,
		Staff: []CourseStaff{{UserID: exampleCourseID(8), Role: "instructor", Active: true}},
		Completion: CompletionSettings{
			Mode:        CompleteModules,
			Certificate: CertificateSettings{Enabled: true, Title: "Certificate of completion", MinGrade: &grade},
		},
		CreatedAt: at, UpdatedAt: at, PublishedAt: &at, Version: 3,
	}
}

func exampleCurriculum() CurriculumState {
	quiz, points, percent := exampleCourseID(14), Hundredths(1050), Hundredths(7000)
	at := time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC)
	one := 1
	return CurriculumState{
		CourseID: exampleCourseID(1), TenantID: exampleCourseID(2), OrgUnitID: exampleCourseID(3),
		Version: 4, ChangedAt: at,
		Modules: []CurriculumPart{
			{
				ID: exampleCourseID(10), Title: "Cells", Published: true, Sequential: true,
				Items: []CurriculumItem{
					{
						ID: exampleCourseID(11), Kind: ItemPage, Title: "What is a cell?", Published: true, Visible: true,
						Requirement: &ItemRequirement{Kind: RequireView},
					},
					{
						ID: exampleCourseID(12), Kind: ItemQuiz, Title: "Parts of a cell", Published: true, Visible: true,
						ResourceID: &quiz, Points: &points,
						Requirement: &ItemRequirement{Kind: RequireMinScore, MinScore: &percent, Unit: ScorePercent},
					},
				},
			},
			{
				ID: exampleCourseID(13), Title: "Genes", Published: true, UnlockAt: &at,
				Prerequisites: []uuid.UUID{exampleCourseID(10)}, RequiredCount: &one, Relock: 1,
				Items: []CurriculumItem{{
					ID: exampleCourseID(15), Kind: ItemLink, Title: "The human genome", Published: true, Visible: true,
					Requirement: &ItemRequirement{Kind: RequireDone},
				}},
			},
		},
	}
}

func courseEvents() []Definition {
	c := exampleCourse()
	draft := c
	draft.Status, draft.PublishedAt, draft.Version = CourseDraft, nil, 1
	archived := c
	archived.Status, archived.ArchivedAt, archived.Version = CourseArchived, c.EndsAt, 5
	deleted := archived
	deleted.Deleted, deleted.Version = true, 6
	at := c.CreatedAt
	parent := exampleCourseID(17)
	state := func(summary string, e Event) Definition {
		return Definition{Topic: TopicCourse, Summary: summary, State: true, Example: e}
	}
	fact := func(summary string, e Event) Definition {
		return Definition{Topic: TopicCourse, Summary: summary, Example: e}
	}
	return []Definition{
		state("A course was created as a draft.", CourseCreated{draft}),
		state("A property of a course changed.", CourseUpdated{CourseState: c, Changed: []string{"capacity", "title"}}),
		state("A course was published.", CoursePublishedEvent{c}),
		state("A published course went back to draft.", CourseUnpublishedEvent{draft}),
		state("A course was archived and is read-only.", CourseArchivedEvent{archived}),
		state("An archived course went back to draft.", CourseRestoredEvent{draft}),
		state("A course was deleted.", CourseDeleted{deleted}),
		state("The staff of a course changed.", CourseStaffChanged{CourseState: c, Added: c.Staff}),
		state("The curriculum of a course, or the state of a resource in it, changed.",
			CurriculumChanged{CurriculumState: exampleCurriculum(), CourseStatus: CoursePublished, Reason: "edited"}),
		fact("An announcement became visible to everyone enrolled.", AnnouncementPublished{
			AnnouncementID: exampleCourseID(16), CourseID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID,
			CourseCode: c.Code, CourseTitle: c.Title, AuthorID: exampleCourseID(8),
			Title: "Welcome", Text: "The first session is on Monday.", PublishedAt: at,
		}),
		fact("A person looked at a course, said at most once a day.", CourseViewed{
			CourseID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, UserID: exampleCourseID(9),
			Day: "2026-02-03", ViewedAt: at,
		}),
		state("A category has another name or place.", CategoryRenamed{
			CategoryID: exampleCourseID(4), TenantID: c.TenantID, ParentID: &parent,
			Name: "Natural sciences", OldName: "Sciences",
		}),
	}
}
