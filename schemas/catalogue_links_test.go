package schemas_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/atsync/atsync/schemas"
)

// TestHowChangesAreFound holds every entry to what its class needs: keys that point to the parent, an end to chains of
// parents, create stamps where there are any, paths that can be asked.
func TestHowChangesAreFound(t *testing.T) {
	create := regexp.MustCompile(`^created?(Date|DateTime|Time|On)?$`)
	for _, e := range schemas.Catalogue() {
		for _, f := range e.Fields {
			if f.Name == e.ParentKey && e.Follows() != "" && f.Reference != e.Parent {
				t.Errorf("%s: parent key %s refers to %q, want %s", e.Name, f.Name, f.Reference, e.Parent)
			}
			dated := e.Class == schemas.ClassModified || e.Class == schemas.ClassActivity
			if dated && f.Type == "datetime" && create.MatchString(f.Name) && e.CreateStamp == "" {
				t.Errorf("%s: %s could be its create_stamp", e.Name, f.Name)
			}
		}
		if slices.Contains(e.Stamps, e.CreateStamp) && e.Class != schemas.ClassAppend {
			t.Errorf("%s: %s says when a row was created, not when it changed", e.Name, e.CreateStamp)
		}
		above, steps := e, 0
		for above.Follows() != "" && steps < 10 {
			above, _ = schemas.Lookup(above.Follows())
			steps++
		}
		if steps == 10 {
			t.Errorf("%s: its chain of parents has no end", e.Name)
		}
		if e.Class == schemas.ClassChild && (strings.Count(e.ChildPath, "{parentId}") != 1 || !strings.HasPrefix(e.ChildPath, e.Parent+"/")) {
			t.Errorf("%s: child path %q", e.Name, e.ChildPath)
		}
		if e.Queryable && strings.ContainsAny(e.Path, "/{") {
			t.Errorf("%s: path %q", e.Name, e.Path)
		}
	}
}
