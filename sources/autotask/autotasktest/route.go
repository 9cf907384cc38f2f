package autotasktest

import (
	"strconv"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// Op names what a request asks for. It selects requests in faults and in the log.
type Op string

// The operations that the simulator answers.
const (
	OpQuery     Op = "query"     // {Entity}/query
	OpCount     Op = "count"     // {Entity}/query/count
	OpNext      Op = "next"      // {Entity}/query/next
	OpPrevious  Op = "previous"  // {Entity}/query/previous
	OpGet       Op = "get"       // {Entity}/{id}, also below a parent
	OpChildren  Op = "children"  // {Parent}/{id}/{Child}
	OpInfo      Op = "info"      // {Entity}/entityInformation
	OpFields    Op = "fields"    // {Entity}/entityInformation/fields
	OpUDFs      Op = "udfs"      // {Entity}/entityInformation/userDefinedFields
	OpZone      Op = "zone"      // zoneInformation
	OpVersions  Op = "versions"  // VersionInformation
	OpVersion   Op = "version"   // Version
	OpThreshold Op = "threshold" // ThresholdInformation
	OpEntities  Op = "entities"  // EntityInformation
	OpModules   Op = "modules"   // Modules
	OpNone      Op = ""          // no such route
)

// route is what a path means.
type route struct {
	op     Op
	entity *schemas.Entity // nil: of no entity
	id     int64           // of the row, or of the parent for children
	parent string          // first path segment of a child route, lower case
	bare   bool            // {Entity} alone: no route, but the answer differs (api.md §3)
}

// routes maps path segments to entities. It is immutable.
type routes struct {
	root  map[string]*schemas.Entity // lower-case collection
	child map[string]*schemas.Entity // lower-case "parent/child"
	info  map[string]*schemas.Entity // lower-case name, of entities that have nothing but metadata at the root
}

func newRoutes() *routes {
	rs := &routes{root: map[string]*schemas.Entity{}, child: map[string]*schemas.Entity{}, info: map[string]*schemas.Entity{}}
	for _, e := range schemas.Catalogue() {
		if e.Queryable {
			rs.root[strings.ToLower(e.Path)] = e
		}
		if seg := strings.Split(strings.ToLower(e.ChildPath), "/"); len(seg) == 3 && e.Class != schemas.ClassNone {
			rs.child[seg[0]+"/"+seg[2]] = e
		}
		if e.Class == schemas.ClassChild && !strings.Contains(e.Path, "/") {
			rs.info[strings.ToLower(e.Path)] = e
		}
	}
	return rs
}

// parse reads a path: any case, duplicate and trailing slashes tolerated (api.md §2, §13a).
func (rs *routes) parse(path string) route {
	seg := strings.FieldsFunc(strings.ToLower(path), func(r rune) bool { return r == '/' })
	if len(seg) < 2 || seg[0] != "atservicesrest" {
		return route{}
	}
	if len(seg) == 2 && seg[1] == "versioninformation" {
		return route{op: OpVersions}
	}
	if seg[1] != "v1.0" {
		return route{}
	}
	seg = seg[2:]
	if len(seg) == 1 {
		switch seg[0] {
		case "zoneinformation":
			return route{op: OpZone}
		case "version":
			return route{op: OpVersion}
		case "thresholdinformation":
			return route{op: OpThreshold}
		case "entityinformation":
			return route{op: OpEntities}
		case "modules":
			return route{op: OpModules}
		}
		return route{entity: rs.root[seg[0]], bare: true}
	}
	if len(seg) == 0 {
		return route{}
	}
	return rs.entityRoute(seg)
}

func (rs *routes) entityRoute(seg []string) route {
	e := rs.root[seg[0]]
	if e != nil {
		if op := collectionOp(strings.Join(seg[1:], "/")); op != OpNone {
			return route{op: op, entity: e}
		}
	}
	if known := rs.info[seg[0]]; known != nil {
		switch op := collectionOp(strings.Join(seg[1:], "/")); op {
		case OpInfo, OpFields, OpUDFs:
			return route{op: op, entity: known}
		}
	}
	id, err := strconv.ParseInt(seg[1], 10, 64)
	if err != nil {
		return route{}
	}
	if len(seg) == 2 {
		if e == nil {
			return route{}
		}
		return route{op: OpGet, entity: e, id: id}
	}
	child := rs.child[seg[0]+"/"+seg[2]]
	if child == nil {
		return route{}
	}
	if len(seg) == 3 {
		return route{op: OpChildren, entity: child, id: id, parent: seg[0]}
	}
	switch op := collectionOp(strings.Join(seg[3:], "/")); op {
	case OpInfo, OpFields, OpUDFs:
		return route{op: op, entity: child, parent: seg[0]}
	case OpNext, OpPrevious: // where the pages of an entity without a query are is not known
		if child.Class == schemas.ClassChild {
			return route{op: op, entity: child, id: id, parent: seg[0]}
		}
	}
	if id, err = strconv.ParseInt(seg[3], 10, 64); err == nil && len(seg) == 4 {
		return route{op: OpGet, entity: child, id: id, parent: seg[0]}
	}
	return route{} // there is no query below a parent (api.md §3)
}

func collectionOp(tail string) Op {
	switch tail {
	case "query":
		return OpQuery
	case "query/count":
		return OpCount
	case "query/next":
		return OpNext
	case "query/previous":
		return OpPrevious
	case "entityinformation":
		return OpInfo
	case "entityinformation/fields":
		return OpFields
	case "entityinformation/userdefinedfields":
		return OpUDFs
	}
	return OpNone
}

// childKey names the field of a child entity that holds the parent's id, or "".
func childKey(r route) string {
	e := r.entity
	if p, ok := schemas.Lookup(r.parent); ok {
		if e.ParentKey != "" && strings.EqualFold(e.Parent, p.Name) {
			return e.ParentKey
		}
		for _, f := range e.Fields {
			if strings.EqualFold(f.Reference, p.Name) {
				return f.Name
			}
		}
		return ""
	}
	if r.parent == "servicelevelagreements" { // the results carry no agreement id
		return ""
	}
	return e.ParentKey // Expenses and UserDefinedFields are parents in paths only
}
