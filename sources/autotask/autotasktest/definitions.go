package autotasktest

// definitionsOf is the entity whose rows define the user-defined fields of all others.
const definitionsOf = "UserDefinedFieldDefinitions"

// udfTypes numbers the entities that carry user-defined fields, as UserDefinedFieldDefinitions.udfType does. Public
// sources do not tell the numbers; a client has to take them from the tenant.
func udfTypes() map[string]int64 {
	return map[string]int64{
		"Companies": 1, "Contacts": 2, "Opportunities": 3, "SalesOrders": 4, "Contracts": 5, "CompanySiteConfigurations": 6,
		"ConfigurationItems": 7, "Products": 8, "Services": 9, "ServiceBundles": 10, "Subscriptions": 11, "Tickets": 12,
		"Tasks": 13, "Projects": 14,
	}
}

// define adds the definition of a user-defined field that was added by hand and returns its id.
func (d *Data) define(entity string, u UDF) int64 {
	kind := map[string]int64{"integer": 3, "decimal": 3, "datetime": 4}[u.Type]
	switch {
	case u.Choices != nil:
		kind = 5
	case kind == 0:
		kind = 1
	}
	return d.Insert(definitionsOf, Fields{
		"name": u.Name, "description": u.Description, "udfType": udfTypes()[entity], "dataType": kind, "isActive": true,
		"isRequired": false, "isPrivate": false, "isProtected": false, "isEncrypted": false, "isFieldMapping": false,
		"isVisibleToClientPortal": false, "sortOrder": 1, "numberOfDecimalPlaces": 0,
	})
}

// definition returns the id of a user-defined field's definition.
func (d *Data) definition(entity, name string) (id int64) {
	d.read(entity, func(t *table) { id = t.shape.udfs[t.shape.udf(name)].definition })
	return id
}
