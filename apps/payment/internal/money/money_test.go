package money

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCurrencies(t *testing.T) {
	t.Parallel()
	for code, digits := range map[string]int{"EUR": 2, "JPY": 0, "KWD": 3, "VND": 0, "TND": 3, "USD": 2} {
		c, ok := ParseCurrency(code)
		require.True(t, ok, code)
		require.Equal(t, digits, c.Exponent(), code)
	}
	for _, code := range []string{"", "eur", "EURO", "XXX", "XAU", "DEM"} {
		_, ok := ParseCurrency(code)
		require.False(t, ok, code)
	}
	require.Greater(t, len(Currencies()), 150)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]struct {
		amount   int64
		currency Currency
	}{
		"119.00 EUR": {11900, "EUR"}, "0.05 EUR": {5, "EUR"}, "-0.05 EUR": {-5, "EUR"}, "1200 JPY": {1200, "JPY"},
		"0 JPY": {0, "JPY"}, "1.234 KWD": {1234, "KWD"}, "0.001 KWD": {1, "KWD"}, "-12.34 USD": {-1234, "USD"},
	} {
		require.Equal(t, want, Format(in.amount, in.currency))
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rate{"19": 190_000, "8.875": 88_750, "0": 0, "100": 1_000_000, "0.0001": 1, "7.70": 77_000} {
		got, ok := ParsePercent(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-1", "100.0001", "1000", "1.", ".5", "1.00001", "1e1", "19 %", "٣"} {
		_, ok := ParsePercent(text)
		require.False(t, ok, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := Rate(rapid.Int64Range(0, Million).Draw(t, "rate"))
		back, ok := ParsePercent(r.Percent())
		require.True(t, ok)
		require.Equal(t, r, back)
	})
}

// TestRoundingIsHalfUp states the rule at its boundaries.
func TestRoundingIsHalfUp(t *testing.T) {
	t.Parallel()
	half := Rate(500_000)
	for amount, want := range map[int64]int64{1: 1, 2: 1, 3: 2, 5: 3, -1: -1, -3: -2, 0: 0} {
		require.Equal(t, want, half.Of(amount), "half of %d", amount)
	}
	require.EqualValues(t, 33, MulDiv(100, 1, 3))
	require.EqualValues(t, 67, MulDiv(200, 1, 3))
	require.EqualValues(t, 19, Rate(190_000).Within(119))
	require.EqualValues(t, 16, Rate(190_000).Within(100), "15.966…")
}

// TestMulDivAgainstExactNumbers compares with big rationals.
func TestMulDivAgainstExactNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Range(-Max, Max).Draw(t, "a")
		c := rapid.Int64Range(1, 1<<40).Draw(t, "c")
		b := rapid.Int64Range(0, c).Draw(t, "b")
		// floor((2·|a|·b + c) / 2c) is half-up on the magnitude.
		n := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		n.Abs(n).Lsh(n, 1).Add(n, big.NewInt(c))
		n.Quo(n, new(big.Int).Lsh(big.NewInt(c), 1))
		if a < 0 {
			n.Neg(n)
		}
		require.Equal(t, n.Int64(), MulDiv(a, b, c))
	})
	require.Panics(t, func() { MulDiv(1<<62, 1<<62, 1) })
	require.Panics(t, func() { MulDiv(1, -1, 1) })
}

// TestSplitsLoseNothing: parts add up, and none is a unit or more away from its
// exact share.
func TestSplitsLoseNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(-Max, Max).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000), 1, 60).Draw(t, "weights")
		parts := Allocate(total, weights)
		var sum, all int64
		for _, w := range weights {
			all += w
		}
		for i, p := range parts {
			sum += p
			if all == 0 {
				continue
			}
			diff := new(big.Rat).Sub(new(big.Rat).SetInt64(p), new(big.Rat).Mul(big.NewRat(total, 1), big.NewRat(weights[i], all)))
			require.Negative(t, diff.Abs(diff).Cmp(big.NewRat(1, 1)), "part %d", i)
		}
		require.Equal(t, total, sum)
	})
	require.Empty(t, Allocate(5, nil))
	require.Equal(t, []int64{5, 0}, Allocate(5, []int64{0, 0}))
	require.Equal(t, []int64{34, 33, 33}, Even(100, 3))
	require.Panics(t, func() { Allocate(1, []int64{-1}) })
}

// TestStepsAddUp: tax split over partial refunds.
func TestStepsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.Int64Range(1, Max).Draw(t, "whole")
		part := rapid.Int64Range(0, whole).Draw(t, "part")
		var before, sum int64
		for before < whole {
			after := before + rapid.Int64Range(1, whole-before).Draw(t, "step")
			share := Share(part, whole, before, after)
			require.GreaterOrEqual(t, share, int64(0))
			require.LessOrEqual(t, share, after-before)
			sum, before = sum+share, after
		}
		require.Equal(t, part, sum)
	})
	require.Zero(t, Share(0, 0, 0, 0))
}
