package report

import (
	"time"

	"lms/apps/analytics/internal/period"
)

// The reports.
const (
	CourseFunnel         Name = "course-funnel"
	FunnelOverTime       Name = "funnel-over-time"
	ProgressDistribution Name = "progress-distribution"
	TimeToComplete       Name = "time-to-complete"
	ActiveLearners       Name = "active-learners"
	Retention            Name = "retention"
	Cohorts              Name = "cohorts"
	ItemDifficulty       Name = "item-difficulty"
	QuestionDifficulty   Name = "question-difficulty"
	GradeDistribution    Name = "grade-distribution"
	LateWork             Name = "late-work"
	AtRisk               Name = "at-risk"
	InstructorLoad       Name = "instructor-load"
	Revenue              Name = "revenue"
	RevenueByPlan        Name = "revenue-by-plan"
	MRR                  Name = "mrr"
	SearchTerms          Name = "search-terms"
)

// What it takes to be at risk; the definition of the report says so in words.
const (
	RiskInactive = 14 * 24 * time.Hour
	RiskNotBegun = 7 * 24 * time.Hour
	RiskLowGrade = 5000 // hundredths of a percent
	RiskBehind   = 2500 // hundredths of a percent
)

func text(key, title string) Column     { return Column{Key: key, Title: title, Kind: KindText} }
func id(key, title string) Column       { return Column{Key: key, Title: title, Kind: KindID} }
func share(key, title, m string) Column { return Column{key, title, KindShare, m} }

func count(key, title, meaning string) Column { return Column{key, title, KindCount, meaning} }

func seconds(key, title, meaning string) Column { return Column{key, title, KindSeconds, meaning} }

func money(key, title, meaning string) Column { return Column{key, title, KindMoney, meaning} }

func courseColumns() []Column {
	return []Column{id("course_id", "Course"), text("course_code", "Code"), text("course_title", "Title")}
}

func steps() []Column {
	return []Column{
		count("viewed", "Viewed", "people who looked at the course's page for the first time"),
		count("enrolled", "Enrolled", "people who became active learners for the first time"),
		count("started", "Started", "people who did something in the course for the first time"),
		count("completed", "Completed", "people who completed the course for the first time"),
	}
}

func bucket() Column {
	return Column{"bucket", "Time", KindBucket, "a part of the period, in the time zone asked for"}
}

// Catalogue is every report.
func Catalogue() []Report {
	return append(learningReports(), otherReports()...)
}

// Find is a report by its name.
func Find(name Name) (Report, bool) {
	for _, r := range Catalogue() {
		if r.Name == name {
			return r, true
		}
	}
	return Report{}, false
}

func learningReports() []Report {
	return []Report{
		{
			Name: CourseFunnel, Title: "Course funnel", About: AboutLearning, Time: Within, Cohort: true,
			Definition: "How many people took each step of a course in the period: looked at it, enrolled, did the first thing in it, completed it. Each step counts once per person and course, at its first time; who enrolls again, or completes again after a reset, is not counted again. Steps are counted where they happened: who enrolled before the period and completed in it is among the completed only. Views are known once per person, course and UTC day.",
			Columns:    append(courseColumns(), steps()...),
		},
		{
			Name: FunnelOverTime, Title: "Funnel over time", About: AboutLearning, Time: Buckets, Interval: period.Week, Cohort: true,
			Definition: "The steps of the course funnel, of all courses together, in each part of the period; and those who left.",
			Columns:    append(append([]Column{bucket()}, steps()...), count("withdrawn", "Withdrawn", "people whose last withdrawal from a course was then")),
		},
		{
			Name: ProgressDistribution, Title: "Progress", About: AboutLearning, Time: Now, Cohort: true,
			Definition: "Where active and completed learners stand now, by the share of a course's requirements that they have met, rounded down to ten percent. A person counts once per course.",
			Columns:    []Column{text("band", "Progress"), count("learners", "Learners", "")},
		},
		{
			Name: TimeToComplete, Title: "Time to complete", About: AboutLearning, Time: Within, Cohort: true,
			Definition: "For courses completed in the period, how long it took from becoming an active learner for the first time to completing for the first time. A percentile is the time of a learner: the first at which that share of learners had completed.",
			Columns: append(courseColumns(), count("completions", "Completions", ""), seconds("p25", "A quarter within", ""),
				seconds("median", "Half within", ""), seconds("p75", "Three quarters within", ""), seconds("p90", "Nine tenths within", "")),
		},
		{
			Name: ActiveLearners, Title: "Active learners", About: AboutLearning, Time: Buckets, Interval: period.Day, Cohort: true,
			Definition: "People who did something in a course: opened an item, watched, marked as done, handed work in, began or handed in a quiz, commented on work. Looking at a course's page, signing in, and what others do (grades, excuses) do not count. A person counts once in each part of the period. Times are known by the quarter of an hour: those in which the period begins and ends count whole.",
			Columns:    []Column{bucket(), count("learners", "Learners", "")},
		},
		{
			Name: Retention, Title: "Retention", About: AboutLearning, Time: Buckets, Interval: period.Week, Cohort: true,
			Definition: "People by the part of the period in which they became active learners of any of the courses for the first time, and how many of them were active (see active-learners) in that part and in each one after it.",
			Columns: []Column{
				{"cohort", "Enrolled in", KindBucket, "the part of the period of the first enrollment"},
				count("offset", "Later by", "how many parts later"),
				count("size", "People", "who enrolled then"), count("active", "Active", ""), share("share", "Share", "active ÷ people"),
			},
		},
		{
			Name: Cohorts, Title: "Cohorts", About: AboutLearning, Time: Within,
			Definition: "Groups of people side by side: how many are in each now, how many of them are learners of any of the courses, were active in the period (did something in a course, by UTC day), have completed a course ever, and the mean of their final grades so far.",
			Columns: []Column{
				id("group_id", "Group"), text("name", "Name"), text("kind", "Kind"), count("members", "Members", ""), count("learners", "Learners", ""),
				count("active", "Active", ""), count("completed", "Completed", "people who completed a course"), share("mean_grade", "Mean grade", "of final grades, ungraded work as 0"),
			},
		},
		{
			Name: ItemDifficulty, Title: "Items", About: AboutLearning, Time: Within, NeedsCourse: true, Cohort: true,
			Definition: "For each item of a course: people of whom something became known on it for the first time in the period, how many of them have completed it now, and what they scored of what was possible. An item that is completed and no longer is (a lower score) does not count as completed; a reset takes nothing back.",
			Columns: []Column{
				count("position", "Place", "in the curriculum"), id("item_id", "Item"), text("title", "Title"), text("module", "Module"), text("kind", "Kind"),
				count("learners", "Learners", ""), count("completed", "Completed", ""), share("completion", "Completion", "completed ÷ learners"),
				count("scored", "Scored", "people who have a score"), share("mean_score", "Mean score", "sum of scores ÷ sum of what was possible"),
			},
		},
		{
			Name: QuestionDifficulty, Title: "Questions", About: AboutLearning, Time: Within, NeedsCourse: true, Cohort: true,
			Definition: "For each version of a question in quizzes of the course, over graded attempts that were finished in the period: how the answers were judged, and what they earned of what was possible. The lower the facility, the harder the question.",
			Columns: []Column{
				id("quiz_id", "Quiz"), text("quiz_title", "Quiz's title"), id("question_id", "Question"), count("version", "Version", ""), text("title", "Title"), text("kind", "Kind"),
				count("answers", "Answers", ""), count("correct", "Correct", ""), count("partial", "Partly", ""), count("wrong", "Wrong", ""), count("blank", "Blank", ""),
				count("manual", "By hand", "judged by a person"), share("facility", "Facility", "sum of points ÷ sum of what was possible"),
			},
		},
		{
			Name: GradeDistribution, Title: "Grades", About: AboutLearning, Time: Now, Cohort: true,
			Definition: "Active and completed learners by their grade in a course as staff see it now, also where it is not posted yet, rounded down to ten percent. Final counts ungraded work as 0, current leaves it out.",
			Columns:    []Column{text("band", "Grade"), count("final", "Final", ""), count("current", "Current", "")},
		},
		{
			Name: LateWork, Title: "Late work", About: AboutLearning, Time: Within, Cohort: true,
			Definition: "Work on assignments whose due time, the person's own if there is one, lies in the period, by how it stands now. Excused work is neither late nor missing; what was handed in counts by its last attempt, after the due time as late, unless a grader said otherwise; missing is what was due and not handed in. Work that is neither handed in nor said to be missing is not counted.",
			Columns: []Column{
				id("assignment_id", "Assignment"), text("title", "Title"), id("course_id", "Course"), text("course_title", "Course's title"),
				count("on_time", "On time", ""), count("late", "Late", ""), count("missing", "Missing", ""), count("excused", "Excused", ""),
				share("late_share", "Late", "late ÷ (on time + late)"), seconds("median_late", "Half late by at most", "of late work"),
			},
		},
		{
			Name: AtRisk, Title: "Learners at risk", About: AboutLearning, Time: Now, Cohort: true,
			Definition: "Active learners with at least one reason for concern, those with most reasons first. Inactive: nothing done for 14 days. Not started: nothing done yet, 7 days after enrolling. Missing work: an assignment was due and not handed in. Low grade: the current grade, which leaves ungraded work out, is below 50 %. Behind: the course or the enrollment ends, and the share of its requirements that is met is more than 25 points below the share of the time from enrolling to that end which has passed.",
			Columns: []Column{
				id("course_id", "Course"), text("course_title", "Title"), id("user_id", "Person"), text("name", "Name"), count("risks", "Reasons", ""),
				{"reasons", "Why", KindTexts, ""},
				{"last_activity_at", "Last active", KindTime, ""},
				share("progress", "Progress", "requirements met"), share("expected", "Expected", "share of the time that has passed; empty without an end"),
				share("current_grade", "Current grade", ""), count("missing_work", "Missing work", ""),
			},
		},
		{
			Name: InstructorLoad, Title: "Instructors' load", About: AboutLearning, Time: Within,
			Definition: "For each person of a course's staff: courses that are not archived, their active learners (each once per course), work that is handed in and not graded since, and what the person graded in the period, with the time from handing in to the grade.",
			Columns: []Column{
				id("user_id", "Person"), text("name", "Name"), count("courses", "Courses", ""), count("learners", "Learners", ""), count("waiting", "Waiting", "for a grade, in these courses"),
				count("graded", "Graded", "by this person, in the period"), seconds("median_time", "Half graded within", ""),
			},
		},
	}
}

func otherReports() []Report {
	currency := text("currency", "Currency")
	taken := []Column{
		count("payments", "Payments", ""), money("gross", "Taken", "tax included"), money("tax", "Tax", "in what was taken"),
		count("refunds", "Refunds", ""), money("refunded", "Refunded", "tax included"), money("net", "Left", "taken − refunded, tax included"),
	}
	return []Report{
		{
			Name: Revenue, Title: "Revenue", About: AboutMoney, Time: Buckets, Interval: period.Month,
			Definition: "Money that was taken and given back in each part of the period, by currency, in minor units. A refund counts when it was made, not when its payment was.",
			Columns:    append([]Column{bucket(), currency}, taken...),
		},
		{
			Name: RevenueByPlan, Title: "Revenue by plan", About: AboutMoney, Time: Within,
			Definition: "Money that was taken and given back in the period, by plan and currency, in minor units. A plan of several courses counts for its first one.",
			Columns:    append([]Column{id("plan_id", "Plan"), text("plan", "Name"), text("plan_kind", "Kind"), currency}, taken...),
		},
		{
			Name: MRR, Title: "Monthly recurring revenue", About: AboutMoney, Time: AtTheEnd, Interval: period.Month,
			Definition: "Subscriptions that were active or past due at the end of each part of the period, and what they bring in a month without tax, in minor units: the amount of a period, turned into a twelfth of a year of 365.25 days and rounded half up per subscription. Trials and paused ones do not count.",
			Columns:    []Column{bucket(), currency, count("subscriptions", "Subscriptions", ""), money("mrr", "MRR", "")},
		},
		{
			Name: SearchTerms, Title: "Search terms", About: AboutSearches, Time: Within,
			Definition: "What people searched for in the period, those without a result first. Who searched is not kept. Searches are told in batches from memory: those of a search service that crashed are not among them.",
			Columns:    []Column{text("term", "Term"), count("searches", "Searches", ""), count("without_result", "Without result", "")},
		},
	}
}
