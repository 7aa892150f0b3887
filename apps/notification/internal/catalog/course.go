package catalog

import (
	"slices"

	"github.com/google/uuid"

	contract "lms/shared/contracts/events"
)

const groupCourses = "courses"

// KindAnnouncement is the kind that those who enroll later find in their list too.
const KindAnnouncement = "announcement"

var noCourse uuid.UUID //nolint:gochecknoglobals // the nil id, never written

func courseKinds() []Kind {
	role := Variable{Name: "role", Type: Text, Sample: "instructor"}
	return []Kind{
		{Key: KindAnnouncement, Group: groupCourses, Default: telling(), Variables: courseVars(
			Variable{Name: "title", Type: Text, Sample: "Room change on Friday"},
			Variable{Name: "text", Type: Long, Sample: "We meet in room 12.\n\nBring your notes."},
		)},
		{Key: "course.archived", Group: groupCourses, Default: listed(), Variables: courseVars()},
		{Key: "staff.added", Group: groupCourses, Default: telling(), Variables: courseVars(role)},
		{Key: "staff.removed", Group: groupCourses, Default: listed(), Variables: courseVars(role)},
	}
}

func aboutCourse(c contract.CourseState) map[string]string {
	return map[string]string{"course_title": c.Title, "course_code": c.Code}
}

func courseRules() []Rule {
	return []Rule{
		none(contract.TypeCourseCreated, "A draft concerns its author."),
		none(contract.TypeCourseUpdated, "The course shows it; what matters to learners is announced."),
		none(contract.TypeCoursePublished, "Nobody is enrolled yet; staff see it."),
		none(contract.TypeCourseUnpublished, "It is often for minutes; enrollment tells who loses access."),
		on(contract.TypeCourseArchived, func(_ Event, c contract.CourseArchivedEvent) []Notice {
			return []Notice{{Kind: "course.archived", Audience: Learners, CourseID: c.ID, Path: coursePath(c.ID), Vars: aboutCourse(c.CourseState)}}
		}),
		none(contract.TypeCourseRestored, "It goes back to a draft, which concerns its staff."),
		none(contract.TypeCourseDeleted, "enrollment tells each learner that the place ended."),
		none(contract.TypeCurriculumChanged, "Courses change often; progress shows what is new."),
		on(contract.TypeCourseStaffChanged, staffChanged),
		on(contract.TypeAnnouncementPublished, func(_ Event, a contract.AnnouncementPublished) []Notice {
			return []Notice{{
				Kind: KindAnnouncement, Audience: Learners, Except: a.AuthorID, CourseID: a.CourseID, LaterToo: true,
				Path: coursePath(a.CourseID) + "/announcements/" + a.AnnouncementID.String(),
				Vars: map[string]string{"course_title": a.CourseTitle, "course_code": a.CourseCode, "title": a.Title, "text": a.Text},
			}}
		}),
		none(contract.TypeCourseViewed, "A person's own act."),
		none(contract.TypeCategoryRenamed, "The catalogue shows it."),
	}
}

func staffChanged(e Event, c contract.CourseStaffChanged) []Notice {
	var out []Notice
	tell := func(kind string, who contract.CourseStaff) {
		if who.UserID == e.ActorID {
			return // one's own act
		}
		vars := aboutCourse(c.CourseState)
		vars["role"] = who.Role
		out = append(out, one(kind, who.UserID, c.ID, coursePath(c.ID), vars)...)
	}
	same := func(list []contract.CourseStaff, who contract.CourseStaff) bool {
		return slices.ContainsFunc(list, func(s contract.CourseStaff) bool { return s.UserID == who.UserID })
	}
	for _, who := range c.Added {
		tell("staff.added", who)
	}
	for _, who := range c.Removed {
		if !same(c.Added, who) { // another role is told as the new one
			tell("staff.removed", who)
		}
	}
	return out
}
