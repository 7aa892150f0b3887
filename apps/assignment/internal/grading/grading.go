// Package grading is the rules of late work and grades (16 to 25), as functions of
// values: it reads no clock and no store, so that a number can be computed again
// at any time from what is kept. Points and percents are whole hundredths; what is
// computed of them is exact, and rounded to hundredths once, at the end.
package grading

import (
	"math/big"

	"lms/shared/contracts/events"
)

// Hundredths is an exact decimal with two places: 7.5 points, or percent, is 750.
type Hundredths = events.Hundredths

// Kind is how the work of an assignment is graded.
type Kind string

// The kinds of grading. All but Ungraded have a score in points behind them.
const (
	Points   Kind = "points"
	Percent  Kind = "percent"
	Letter   Kind = "letter"
	GPA      Kind = "gpa"
	PassFail Kind = "pass_fail"
	Ungraded Kind = "not_graded"
)

// Deducts says whether lateness costs points (rule 16).
func (k Kind) Deducts() bool { return k == Points || k == Percent || k == Letter || k == GPA }

// Counts says whether the score enters totals.
func (k Kind) Counts() bool { return k.Deducts() || k == PassFail }

// hundred percent, in hundredths.
const hundred = 100_00

// rounded is num ÷ den rounded half-up to a whole number; den > 0. Below zero,
// half goes away from zero, as PostgreSQL rounds.
func rounded(num, den *big.Int) Hundredths {
	n := new(big.Int).Abs(num)
	n.Lsh(n, 1).Add(n, den).Quo(n, new(big.Int).Lsh(den, 1))
	if num.Sign() < 0 {
		n.Neg(n)
	}
	return Hundredths(n.Int64())
}

func product(factors ...Hundredths) *big.Int {
	out := big.NewInt(1)
	for _, f := range factors {
		out.Mul(out, big.NewInt(int64(f)))
	}
	return out
}

// Share is a score in percent of the possible points, rounded to hundredths; nil
// where nothing is possible.
func Share(score, possible Hundredths) *Hundredths {
	if possible <= 0 {
		return nil
	}
	p := rounded(product(score, hundred), big.NewInt(int64(possible)))
	return &p
}
