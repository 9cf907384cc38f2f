package schemas

import (
	"slices"
	"strings"
)

// addUDFs merges the live UDFs. First each finds the column that it has already: by its definition's id, whatever
// it is called now, else by its exact name. The others are new; those that want the same name all get a suffix, so
// that names don't hang on the order in which the metadata lists them.
func (b *tableBuilder) addUDFs(udfs []MetaField) {
	var live []*MetaField
	seen := make(map[string]bool)
	for i := range udfs {
		if f := &udfs[i]; f.Name != "" && !seen[f.Name] {
			seen[f.Name] = true
			live = append(live, f)
		}
	}
	home := b.homes(live)
	wanted := make(map[string]int)
	for i, f := range live {
		if home[i] < 0 {
			name, _ := udfColumnName(f.Name)
			wanted[name]++
		}
	}
	for i, f := range live {
		c := Column{Source: f.Name, UDF: true, UDFID: f.ID, Type: udfTypeOf(f)}
		describe(&c, f)
		if home[i] >= 0 {
			b.lay(home[i], c)
			continue
		}
		name, plain := udfColumnName(f.Name)
		c.Name = name
		if b.taken[name] || plain && wanted[name] > 1 {
			c.Name = suffixed(name, f.Name, b.taken)
		}
		b.taken[c.Name] = true
		b.cols = append(b.cols, c)
	}
}

// homes returns for each UDF the position of the column that is its own, or -1. No column is given twice.
func (b *tableBuilder) homes(live []*MetaField) []int {
	home := make([]int, len(live))
	given := make(map[int]bool)
	give := func(i int, fits func(c *Column) bool) {
		if home[i] >= 0 {
			return
		}
		home[i] = slices.IndexFunc(b.cols, func(c Column) bool { return c.UDF && fits(&c) })
		if given[home[i]] {
			home[i] = -1
		}
		if home[i] >= 0 {
			given[home[i]] = true
		}
	}
	for i := range home {
		home[i] = -1
	}
	for i, f := range live {
		give(i, func(c *Column) bool { return f.ID != 0 && c.UDFID == f.ID })
	}
	for _, retired := range []bool{false, true} { // a name can be that of a live column and of retired ones
		for i, f := range live {
			give(i, func(c *Column) bool { return sameName(c.Source, f.Name) && c.Retired == retired })
		}
	}
	return home
}

// sameName reports whether two names of UDFs are the same where a warehouse can't hold a NUL: U+FFFD stands for it.
func sameName(a, b string) bool {
	return a == b || strings.ReplaceAll(a, "\x00", "\uFFFD") == strings.ReplaceAll(b, "\x00", "\uFFFD")
}

// retire marks the columns that the metadata named once and names no more. They keep what they hold. Of the id,
// which every row has, that says nothing.
func (b *tableBuilder) retire(prior []Column) {
	named := make(map[string]bool, len(prior))
	for _, c := range prior {
		named[c.Name] = named[c.Name] || c.InMetadata || c.Retired
	}
	for i := range b.cols {
		c := &b.cols[i]
		c.Retired = i > 0 && !c.InMetadata && named[c.Name]
	}
}
