package schemas

import (
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// exact is a decimal number: magnitude / 10^scale, without zeros at the end of its fraction.
type exact struct {
	hi, lo uint64 // magnitude, below 10^38
	scale  int    // 0 to 38
	digits int    // of the magnitude; 0 for zero
	neg    bool
}

// whole returns how many digits stand before the point.
func (x *exact) whole() int { return max(0, x.digits-x.scale) }

// int64 returns the value if it is an integer in range.
func (x *exact) int64() (int64, bool) {
	switch {
	case x.scale != 0 || x.hi != 0:
		return 0, false
	case x.lo <= math.MaxInt64:
		if x.neg {
			return -int64(x.lo), true
		}
		return int64(x.lo), true
	}
	return math.MinInt64, x.neg && x.lo == 1<<63
}

// at returns the number as an integer multiple of 10^-scale; scale must not be smaller than its own.
func (x *exact) at(scale int) decimal128.Num {
	hi, lo := mulPow10(x.hi, x.lo, scale-x.scale)
	n := decimal128.New(int64(hi), lo)
	if x.neg {
		return n.Negate()
	}
	return n
}

// parseInt reads a JSON number that is a plain integer of at most 18 digits, the usual case.
func parseInt(lit []byte) (int64, bool) {
	digits := lit
	if lit[0] == '-' {
		digits = lit[1:]
	}
	if len(digits) > 18 {
		return 0, false
	}
	var v int64
	for _, c := range digits {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(lit) {
		v = -v
	}
	return v, true
}

// parseExact reads a JSON number. It reports false if the number has no exact form with 38 digits at most.
func parseExact(lit []byte) (x exact, ok bool) {
	if lit[0] == '-' {
		x.neg = true
		lit = lit[1:]
	}
	mantissa, exp := splitExponent(lit)
	point := len(mantissa)
	for i, c := range mantissa {
		if c == '.' {
			point = i
			break
		}
	}
	frac := mantissa[min(point+1, len(mantissa)):]
	scale := len(frac) - exp
	// Zeros at either end carry nothing, save those that stand before the point at the end.
	for scale > 0 && len(frac) > 0 && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
		scale--
	}
	whole := mantissa[:point]
	if len(frac) == 0 {
		for scale > 0 && len(whole) > 0 && whole[len(whole)-1] == '0' {
			whole = whole[:len(whole)-1]
			scale--
		}
	}
	for _, part := range [2][]byte{whole, frac} {
		for _, c := range part {
			if c == '0' && x.digits == 0 {
				continue
			}
			if x.digits++; x.digits > maxPrecision {
				return x, false
			}
			x.hi, x.lo = mulAdd(x.hi, x.lo, 10, uint64(c-'0'))
		}
	}
	if x.digits == 0 {
		return exact{}, true
	}
	if scale < 0 {
		if x.digits -= scale; x.digits > maxPrecision {
			return x, false
		}
		x.hi, x.lo = mulPow10(x.hi, x.lo, -scale)
		scale = 0
	}
	x.scale = scale
	return x, scale <= maxPrecision
}

// splitExponent cuts off a number's exponent; one that no 38-digit number can have is clamped.
func splitExponent(lit []byte) (mantissa []byte, exp int) {
	const far = 1 << 40 // further than any literal is long
	for i, c := range lit {
		if c|0x20 != 'e' {
			continue
		}
		neg := lit[i+1] == '-'
		for _, c := range lit[i+1:] {
			if isDigit(c) && exp < far {
				exp = exp*10 + int(c-'0')
			}
		}
		if neg {
			exp = -exp
		}
		return lit[:i], exp
	}
	return lit, 0
}

// mulAdd returns v*m + a; the caller knows that it fits.
func mulAdd(hi, lo, m, a uint64) (uint64, uint64) {
	carry, low := bits.Mul64(lo, m)
	low, c := bits.Add64(low, a, 0)
	return hi*m + carry + c, low
}

// mulPow10 returns v * 10^n; the caller knows that it fits.
func mulPow10(hi, lo uint64, n int) (uint64, uint64) {
	for ; n >= 8; n -= 8 {
		hi, lo = mulAdd(hi, lo, 1e8, 0)
	}
	for ; n > 0; n-- {
		hi, lo = mulAdd(hi, lo, 10, 0)
	}
	return hi, lo
}

// isNumber reports whether text is a JSON number and nothing else.
func isNumber(text []byte) bool {
	s := scanner{b: text}
	return s.number() && s.i == len(text)
}
