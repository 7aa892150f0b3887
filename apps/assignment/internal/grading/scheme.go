package grading

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"lms/shared/apperr"
)

// Grade is a step of a grading scheme.
type Grade struct {
	// Name is the letter: "A−", "Merit", "4.0".
	Name string `json:"name"`
	// From is the least percent that gets it.
	From Hundredths `json:"from"`
	// Points are its grade points (GPA), nil where the scheme has none.
	Points *Hundredths `json:"points,omitempty"`
}

// Scheme turns percents into letters. Its grades are in falling order, and the
// last one begins at 0.
type Scheme []Grade

// Limits of a scheme.
const (
	MaxGrades    = 50
	maxGradeName = 40
	maxPercent   = 1000_00
)

// Standard is the scheme of a course that chose none.
func Standard() Scheme {
	scheme := Scheme{}
	for _, g := range [...]struct {
		name         string
		from, points Hundredths
	}{
		{"A", 94_00, 4_00},
		{"A-", 90_00, 3_70},
		{"B+", 87_00, 3_30},
		{"B", 84_00, 3_00},
		{"B-", 80_00, 2_70},
		{"C+", 77_00, 2_30},
		{"C", 74_00, 2_00},
		{"C-", 70_00, 1_70},
		{"D+", 67_00, 1_30},
		{"D", 64_00, 1_00},
		{"D-", 61_00, 70},
		{"F", 0, 0},
	} {
		scheme = append(scheme, Grade{Name: g.name, From: g.from, Points: &g.points})
	}
	return scheme
}

// NewScheme sorts the grades and checks that every percent gets exactly one.
func NewScheme(grades []Grade) (Scheme, error) {
	s := Scheme(slices.Clone(grades))
	slices.SortStableFunc(s, func(a, b Grade) int { return cmp.Compare(b.From, a.From) })
	var f apperr.Fields
	f.Require(len(s) > 0 && len(s) <= MaxGrades, "grades", "count", "are 1 to "+strconv.Itoa(MaxGrades))
	names, withPoints := map[string]bool{}, 0
	for i, g := range s {
		key := strings.ToLower(g.Name)
		f.Require(g.Name != "" && len(g.Name) <= maxGradeName, "grades", "name", "names have 1 to "+strconv.Itoa(maxGradeName)+" bytes")
		f.Require(!names[key], "grades", "duplicate", strconv.Quote(g.Name)+" is there twice")
		f.Require(g.From >= 0 && g.From <= maxPercent, "grades", "from", "begin at 0 to "+Hundredths(maxPercent).String()+" percent")
		f.Require(i == 0 || s[i-1].From != g.From, "grades", "duplicate", "two grades begin at "+g.From.String())
		if names[key] = true; g.Points != nil {
			withPoints++
			f.Require(*g.Points >= 0, "grades", "points", "are not negative")
		}
	}
	f.Require(len(s) == 0 || s[len(s)-1].From == 0, "grades", "gap", "one grade must begin at 0")
	f.Require(withPoints == 0 || withPoints == len(s), "grades", "points", "are given for all grades or for none")
	return s, f.Err()
}

// For is the grade of a percent; what is below 0 gets the last one.
func (s Scheme) For(percent Hundredths) Grade {
	for _, g := range s {
		if percent >= g.From {
			return g
		}
	}
	if len(s) == 0 {
		return Grade{}
	}
	return s[len(s)-1]
}

// Letter is the name of the grade of a percent, "" for none.
func (s Scheme) Letter(percent *Hundredths) string {
	if percent == nil {
		return ""
	}
	return s.For(*percent).Name
}

// Points is the score that a letter stands for where it is entered: full points
// for the first grade (or what it begins at, if that is more), for any other the
// highest score that still gets it. False for a name that is not in the scheme,
// and where no score gets the letter, as with 0 possible.
func (s Scheme) Points(name string, possible Hundredths) (Hundredths, bool) {
	i := slices.IndexFunc(s, func(g Grade) bool { return strings.EqualFold(g.Name, strings.TrimSpace(name)) })
	if i < 0 || possible <= 0 {
		return 0, false
	}
	percent := max(Hundredths(hundred), s[i].From)
	if i > 0 {
		percent = min(s[i-1].From-1, percent)
	}
	points := product(possible, percent)
	score := Hundredths(points.Quo(points, big.NewInt(hundred)).Int64())
	if got := Share(score, possible); got == nil || s.For(*got).Name != s[i].Name {
		return 0, false
	}
	return score, true
}

// The two grades of pass and fail.
const (
	Pass = "pass"
	Fail = "fail"
)

// Text is a score as its kind of grading shows it: points, percent, letter, grade
// points, pass or fail; "" for what is not graded, or cannot be shown so.
func (s Scheme) Text(k Kind, score, possible Hundredths) string {
	percent := Share(score, possible)
	switch k {
	case Points:
		return score.String()
	case Percent:
		if percent != nil {
			return percent.String() + "%"
		}
		return score.String()
	case Letter:
		return s.Letter(percent)
	case GPA:
		if percent != nil {
			if p := s.For(*percent).Points; p != nil {
				return p.String()
			}
		}
		return s.Letter(percent)
	case PassFail:
		if score > 0 {
			return Pass
		}
		return Fail
	case Ungraded:
	}
	return ""
}
