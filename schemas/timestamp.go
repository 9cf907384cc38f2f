package schemas

// Bounds of the years 0001 to 9999, in microseconds since 1970 UTC.
const (
	minMicros = -62135596800 * 1e6
	maxMicros = 253402300800*1e6 - 1
)

// parseTimestamp reads the spellings of api.md §5 as microseconds since 1970 UTC: "2022-12-07T09:15:52.407Z", with or
// without fraction (cut after the sixth digit), seconds and zone mark (none is UTC, "+01:00" is converted), a blank in
// place of the T, or the date alone, which is its midnight. Years are 0001 to 9999.
func parseTimestamp(s []byte) (int64, bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	year, ok1 := digitsAt(s, 0, 4)
	month, ok2 := digitsAt(s, 5, 2)
	day, ok3 := digitsAt(s, 8, 2)
	if !ok1 || !ok2 || !ok3 || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	micros := daysSince1970(year, month, day) * 86400 * 1e6
	rest := s[10:]
	if len(rest) > 0 {
		if rest[0]|0x20 != 't' && rest[0] != ' ' {
			return 0, false
		}
		clock, n, ok := parseClock(rest[1:])
		if !ok {
			return 0, false
		}
		offset, ok := parseZone(rest[1+n:])
		if !ok {
			return 0, false
		}
		micros += clock - offset
	}
	return micros, minMicros <= micros && micros <= maxMicros
}

// parseClock reads hh:mm[:ss[.f…]] and returns microseconds since midnight and the bytes read.
func parseClock(s []byte) (micros int64, n int, ok bool) {
	if len(s) < 5 || s[2] != ':' {
		return 0, 0, false
	}
	hour, ok1 := digitsAt(s, 0, 2)
	minute, ok2 := digitsAt(s, 3, 2)
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, 0, false
	}
	micros, n = (hour*3600+minute*60)*1e6, 5
	if len(s) < 6 || s[5] != ':' {
		return micros, n, true
	}
	second, ok3 := digitsAt(s, 6, 2)
	if !ok3 || second > 59 {
		return 0, 0, false
	}
	micros, n = micros+second*1e6, 8
	if len(s) < 9 || s[8] != '.' {
		return micros, n, true
	}
	n = 9
	for unit := int64(1e5); n < len(s) && isDigit(s[n]); n++ {
		micros += int64(s[n]-'0') * unit
		unit /= 10
	}
	return micros, n, n > 9
}

// parseZone reads "", "Z", "+hh:mm", "+hhmm" or "+hh" and returns the offset from UTC in microseconds.
func parseZone(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) == 1 && s[0]|0x20 == 'z' {
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, ok := digitsAt(s, 1, 2)
	minute, ok2 := int64(0), true
	switch {
	case len(s) == 6 && s[3] == ':':
		minute, ok2 = digitsAt(s, 4, 2)
	case len(s) == 5:
		minute, ok2 = digitsAt(s, 3, 2)
	case len(s) != 3:
		return 0, false
	}
	if !ok || !ok2 || hour > 23 || minute > 59 {
		return 0, false
	}
	offset := (hour*3600 + minute*60) * 1e6
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// digitsAt reads n digits at i.
func digitsAt(s []byte, i, n int) (v int64, ok bool) {
	if len(s) < i+n {
		return 0, false
	}
	for _, c := range s[i : i+n] {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days of the proleptic Gregorian calendar. Years are counted from March, so that
// the leap day is a year's last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	const marchToEpoch = 719469 // days from the start of March of year 0 to 1970, plus one for day 1
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - marchToEpoch
}
