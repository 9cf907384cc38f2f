package schemas

// Countable reports whether the API can count an entity's rows and list them by id: not those that are read parent
// by parent (api.md §3, §9).
func (e *Entity) Countable() bool {
	return e.Queryable && e.Class != ClassNone && e.Class != ClassChild && e.Name != oneTicketAtATime
}
