// Package money is amounts that add up: whole minor units of an ISO 4217 currency
// (rule 34), rates as whole millionths, and divisions that never lose a unit. It
// knows no float.
//
// Rounding is half-up on the magnitude (2.5 → 3, -2.5 → -3), the commercial rounding
// that tax offices expect; it happens once per sum, and parts are then split by
// Allocate so that they add up to the sum.
package money

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Max is the largest amount that is dealt with, in minor units.
const Max int64 = 999_999_999_999

// Million is a rate of 100 %.
const Million int64 = 1_000_000

// Currency is an ISO 4217 code that is in use.
type Currency string

// ParseCurrency reads a code; only codes of the list are currencies.
func ParseCurrency(code string) (Currency, bool) {
	c := Currency(code)
	_, ok := exponents[c]
	return c, ok
}

// Exponent is how many digits of an amount stand behind the point: 2 for EUR, 0
// for JPY, 3 for KWD.
func (c Currency) Exponent() int { return int(exponents[c]) }

// Currencies are all known codes in order.
func Currencies() []Currency {
	out := make([]Currency, 0, len(exponents))
	for c := range exponents {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// Format writes an amount of minor units for people: "119.00 EUR", "1200 JPY".
func Format(amount int64, c Currency) string {
	sign := ""
	digits := strconv.FormatInt(amount, 10)
	if amount < 0 {
		sign, digits = "-", digits[1:]
	}
	if e := c.Exponent(); e > 0 {
		for len(digits) <= e {
			digits = "0" + digits
		}
		digits = digits[:len(digits)-e] + "." + digits[len(digits)-e:]
	}
	return sign + digits + " " + string(c)
}

// Rate is a share in millionths: 190000 is 19 %.
type Rate int64

// ParsePercent reads a percentage with at most four places behind the point, from 0
// to 100.
func ParsePercent(text string) (Rate, bool) {
	whole, fraction, dotted := strings.Cut(text, ".")
	if len(whole) == 0 || len(whole) > 3 || len(fraction) > 4 || dotted && fraction == "" || !digits(whole) || !digits(fraction) {
		return 0, false
	}
	v, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", 4-len(fraction)), 10, 64)
	return Rate(v), err == nil && v <= Million
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' }) < 0
}

// Percent writes a rate as a percentage: "19", "8.875".
func (r Rate) Percent() string {
	whole, rest := int64(r)/10_000, int64(r)%10_000
	if rest == 0 {
		return strconv.FormatInt(whole, 10)
	}
	return strconv.FormatInt(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%04d", rest), "0")
}

// Of is the share of an amount, rounded half-up.
func (r Rate) Of(amount int64) int64 { return MulDiv(amount, int64(r), Million) }

// Within is the part that r makes of a sum which it was already added to: the tax in
// a price with tax. Rounded half-up.
func (r Rate) Within(sum int64) int64 { return MulDiv(sum, int64(r), Million+int64(r)) }

// MulDiv is a·b÷c, rounded half-up on the magnitude, exact in between. b is at least
// 0, c above 0. It panics where the result is no int64: a programming error, since
// amounts and weights are bounded.
func MulDiv(a, b, c int64) int64 {
	if b < 0 || c <= 0 {
		panic("money: MulDiv with a factor below 0")
	}
	negative := a < 0
	if negative {
		a = -a
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c)/2, 0)
	hi += carry
	if hi >= uint64(c) {
		panic("money: MulDiv overflows")
	}
	// An odd c has no whole half: no rest can be exactly at it.
	q, _ := bits.Div64(hi, lo, uint64(c))
	if q > 1<<63-1 {
		panic("money: MulDiv overflows")
	}
	if negative {
		return -int64(q)
	}
	return int64(q)
}

// Allocate splits a total by weights: the parts add up to the total, and each is
// within one unit of its exact share. What rounding leaves over goes to the parts
// that lost most by it, the first of them first. Without any weight the first part
// takes all.
func Allocate(total int64, weights []int64) []int64 {
	parts := make([]int64, len(weights))
	if len(weights) == 0 {
		return parts
	}
	var sum int64
	for _, w := range weights {
		if w < 0 {
			panic("money: Allocate with a weight below 0")
		}
		sum += w
	}
	if sum == 0 {
		parts[0] = total
		return parts
	}
	negative := total < 0
	if negative {
		total = -total
	}
	rests := make([]uint64, len(weights))
	left := total
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(total), uint64(w))
		q, r := bits.Div64(hi, lo, uint64(sum))
		parts[i], rests[i] = int64(q), r
		left -= int64(q)
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case rests[a] > rests[b]:
			return -1
		case rests[a] < rests[b]:
			return 1
		}
		return 0
	})
	for i := int64(0); i < left; i++ {
		parts[order[i]]++
	}
	if negative {
		for i := range parts {
			parts[i] = -parts[i]
		}
	}
	return parts
}

// Even splits a total into n parts that differ by at most one unit, the larger ones
// first.
func Even(total int64, n int) []int64 {
	weights := make([]int64, n)
	for i := range weights {
		weights[i] = 1
	}
	return Allocate(total, weights)
}

// Share is what a step from before to after takes of a part, when the whole is taken
// step by step: the shares of all steps add up to the part exactly. It splits the tax
// over partial refunds.
func Share(part, whole, before, after int64) int64 {
	if whole == 0 {
		return 0
	}
	return MulDiv(part, after, whole) - MulDiv(part, before, whole)
}
