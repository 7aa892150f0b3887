package marking

import (
	"slices"
	"strconv"

	"lms/shared/contracts/events"
)

// Credit is the exact share of a question's points that an answer earns, from 0
// to 1.
type Credit struct{ Num, Den int64 }

// Points are the hundredths that the credit is worth, rounded half-up.
func (c Credit) Points(of events.Hundredths) events.Hundredths {
	if c.Num <= 0 || c.Den <= 0 || of <= 0 {
		return 0
	}
	return events.Hundredths((2*int64(of)*c.Num + c.Den) / (2 * c.Den))
}

// Classes of an answer.
const (
	ClassBlank   = "blank"
	ClassWrong   = "wrong"
	ClassPartial = "partial"
	ClassCorrect = "correct"
	// ClassManual waits for a person.
	ClassManual = "manual"
)

// Result is what an answer is worth.
type Result struct {
	Credit Credit
	// Manual: only a person can say (rule 29); Credit is then 0.
	Manual bool
	// Class is one of the classes.
	Class string
	// Picked says what was answered, for frequencies: ids of choices or options,
	// "true" and "false", the number of an accepted answer, or "other".
	Picked []string
}

// Mark marks an answer.
//
//   - single, true_false: right or nothing.
//   - multiple, partial: (right picked − wrong picked) ÷ right ones, not below 0.
//   - numeric: the credit of the first answer whose tolerance it is in.
//   - short_text: the highest credit of the accepted answers that it fits.
//   - matching, partial: prompts with their own option ÷ prompts.
//   - ordering, partial: items that stand at their own place ÷ items.
//   - multiple, matching, ordering, all_or_nothing: everything right or nothing.
//   - essay: by a person. One that is blank is worth nothing, and nobody is asked.
func Mark(d Definition, a *Answer) Result {
	if a.Blank() {
		return Result{Credit: Credit{0, 1}, Class: ClassBlank}
	}
	var r Result
	switch d.Kind {
	case Single:
		r = markSingle(d, a)
	case Multiple:
		r = markMultiple(d, a)
	case TrueFalse:
		r = markTrueFalse(d, a)
	case Numeric:
		r = markNumeric(d, a)
	case ShortText:
		r = markShortText(d, a)
	case Matching:
		r = markMatching(d, a)
	case Ordering:
		r = markOrdering(d, a)
	case Essay:
		return Result{Credit: Credit{0, 1}, Manual: true, Class: ClassManual, Picked: []string{}}
	}
	if r.Credit.Den == 0 {
		r.Credit = Credit{0, 1} // an answer of another kind
	}
	if d.Scoring == AllOrNothing && r.Credit.Num < r.Credit.Den {
		r.Credit.Num = 0
	}
	r.Class = r.Credit.class()
	return r
}

func (c Credit) class() string {
	switch {
	case c.Num <= 0:
		return ClassWrong
	case c.Num >= c.Den:
		return ClassCorrect
	}
	return ClassPartial
}

func whole(right bool) Credit {
	if right {
		return Credit{1, 1}
	}
	return Credit{0, 1}
}

func markSingle(d Definition, a *Answer) Result {
	if a.Choice == nil {
		return Result{}
	}
	right := slices.ContainsFunc(d.Choices, func(c Choice) bool { return c.Correct && c.ID == *a.Choice })
	return Result{Credit: whole(right), Picked: []string{*a.Choice}}
}

func markMultiple(d Definition, a *Answer) Result {
	var hits, misses, right int64
	for _, c := range d.Choices {
		picked := slices.Contains(a.Choices, c.ID)
		switch {
		case c.Correct && picked:
			hits++
		case picked:
			misses++
		}
		if c.Correct {
			right++
		}
	}
	return Result{Credit: Credit{max(hits-misses, 0), right}, Picked: slices.Sorted(slices.Values(a.Choices))}
}

func markTrueFalse(d Definition, a *Answer) Result {
	if a.Value == nil || d.TrueFalse == nil {
		return Result{}
	}
	return Result{Credit: whole(*a.Value == d.TrueFalse.Answer), Picked: []string{strconv.FormatBool(*a.Value)}}
}

// other is what was answered that no accepted answer fits.
const other = "other"

func markNumeric(d Definition, a *Answer) Result {
	if a.Number == nil {
		return Result{}
	}
	v, ok := number(*a.Number)
	if !ok {
		return Result{Picked: []string{other}}
	}
	for i, n := range d.Numeric {
		if n.near(v) {
			return Result{Credit: Credit{int64(percent(n.Credit)), 100}, Picked: []string{strconv.Itoa(i + 1)}}
		}
	}
	return Result{Picked: []string{other}}
}

func markShortText(d Definition, a *Answer) Result {
	if a.Text == nil || d.ShortText == nil {
		return Result{}
	}
	best, at := -1, -1
	for i, p := range d.ShortText.Accepted {
		if c := percent(p.Credit); c > best && d.ShortText.fits(p.Text, *a.Text) {
			best, at = c, i
		}
	}
	if at < 0 {
		return Result{Picked: []string{other}}
	}
	return Result{Credit: Credit{int64(best), 100}, Picked: []string{strconv.Itoa(at + 1)}}
}

func markMatching(d Definition, a *Answer) Result {
	if d.Matching == nil {
		return Result{}
	}
	var hits int64
	var picked []string
	for _, p := range d.Matching.Pairs {
		option, ok := a.Pairs[p.ID]
		if !ok {
			continue
		}
		if option == p.MatchID {
			hits++
		}
		picked = append(picked, p.ID+"="+option)
	}
	return Result{Credit: Credit{hits, int64(len(d.Matching.Pairs))}, Picked: picked}
}

func markOrdering(d Definition, a *Answer) Result {
	var hits int64
	for i, it := range d.Ordering {
		if i < len(a.Order) && a.Order[i] == it.ID {
			hits++
		}
	}
	return Result{Credit: Credit{hits, int64(len(d.Ordering))}, Picked: []string{strconv.FormatInt(hits, 10) + " in place"}}
}
