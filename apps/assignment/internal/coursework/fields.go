package coursework

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lms/shared/apperr"
)

// Limits of an assignment.
const (
	MaxTitle       = 255
	MaxDescription = 100_000 // bytes
	MaxPoints      = Points(1_000_000_00)
	MaxAttempts    = 100
	MaxFiles       = 50
	maxExtensions  = 50

	defaultPoints  = Points(100_00)
	defaultFiles   = 10
	defaultFileMiB = 100
)

// DefaultFields are those of a new assignment where nothing else is said.
func (s *Service) DefaultFields() AssignmentFields {
	return AssignmentFields{
		GradingType: GradePoints, Points: defaultPoints, SubmissionTypes: []string{SubmitText, SubmitFile},
		MaxFiles: defaultFiles, MaxFileBytes: min(defaultFileMiB<<20, s.Settings.MaxFileBytes), Posting: PostAutomatic,
	}
}

var (
	gradingTypes = []string{GradePoints, GradePercent, GradeLetter, GradePassFail, GradeGPA, GradeNotGraded}
	submitTypes  = []string{SubmitText, SubmitFile, SubmitLink}
	extension    = regexp.MustCompile(`^[a-z0-9]{1,10}$`)
)

// settle normalises and checks what staff set.
func (s *Service) settle(f *AssignmentFields) error {
	f.Title = strings.TrimSpace(f.Title)
	f.Description = s.Text.HTML(f.Description)
	f.SubmissionTypes = ordered(f.SubmissionTypes)
	for i, e := range f.FileExtensions {
		f.FileExtensions[i] = strings.ToLower(strings.TrimPrefix(e, "."))
	}
	f.FileExtensions = ordered(f.FileExtensions)
	if f.GradingType == GradeNotGraded {
		f.Points, f.ExtraPoints, f.OmitFromFinal = 0, 0, true
	}
	var bad apperr.Fields
	n := utf8.RuneCountInString(f.Title)
	bad.Require(n >= 1 && n <= MaxTitle, "title", "length", "1 to 255 characters.")
	bad.Require(len(f.Description) <= MaxDescription, "description", "too_long", "At most 100,000 bytes.")
	bad.Require(slices.Contains(gradingTypes, f.GradingType), "grading_type", "enum", "One of: "+strings.Join(gradingTypes, ", ")+".")
	bad.Require(f.Points >= 0 && f.Points <= MaxPoints, "points", "range", "From 0 to 1,000,000.")
	bad.Require(f.ExtraPoints >= 0 && f.ExtraPoints <= MaxPoints, "extra_points", "range", "From 0 to 1,000,000.")
	bad.Require(f.Position >= 0, "position", "range", "Not negative.")
	for _, t := range f.SubmissionTypes {
		bad.Require(slices.Contains(submitTypes, t), "submission_types", "enum", "Of: "+strings.Join(submitTypes, ", ")+".")
	}
	bad.Require(len(f.FileExtensions) <= maxExtensions, "file_extensions", "too_many", "At most 50.")
	for i, e := range f.FileExtensions {
		bad.Require(extension.MatchString(e), indexed("file_extensions", i), "invalid", "Letters and digits, such as pdf.")
	}
	bad.Require(f.MaxFiles >= 1 && f.MaxFiles <= MaxFiles, "max_files", "range", "From 1 to 50.")
	bad.Require(f.MaxFileBytes >= 1 && f.MaxFileBytes <= s.Settings.MaxFileBytes, "max_file_bytes", "range", "From 1 to "+strconv.FormatInt(s.Settings.MaxFileBytes, 10)+".")
	bad.Require(f.Attempts == nil || *f.Attempts >= 1 && *f.Attempts <= MaxAttempts, "attempts", "range", "From 1 to 100; null for any number.")
	bad.Require(f.Posting == PostAutomatic || f.Posting == PostManual, "posting", "enum", "One of: automatic, manual.")
	bad.Require(!f.Anonymous || f.Posting == PostManual, "posting", "anonymous_needs_manual", "Anonymous grading needs manual posting: names are shown once grades are posted.")
	bad.Require(f.RubricID != nil || f.RubricRevision == nil, "rubric_revision", "pair", "Needs a rubric.")
	checkOrder(&bad, f.AvailableFrom, f.DueAt, "due_at", "Not before available_from.")
	checkOrder(&bad, f.DueAt, f.CutoffAt, "cutoff_at", "Not before due_at.")
	checkOrder(&bad, f.AvailableFrom, f.CutoffAt, "cutoff_at", "Not before available_from.")
	return bad.Err()
}

func checkOrder(bad *apperr.Fields, first, second *time.Time, path, message string) {
	bad.Require(first == nil || second == nil || !second.Before(*first), path, "order", message)
}

// ordered is a set as a sorted list.
func ordered(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// indexed is the JSON path of an element of a list.
func indexed(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }
