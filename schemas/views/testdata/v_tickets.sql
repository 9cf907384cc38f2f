CREATE OR REPLACE VIEW main."v_tickets" AS
SELECT
  t."id" AS "id",
  t."ticket_number" AS "ticket_number",
  t."status" AS "status",
  map_extract(p."status", CAST(t."status" AS VARCHAR))[1] AS "status_label",
  t."queue_id" AS "queue_id",
  map_extract(p."queue_id", CAST(t."queue_id" AS VARCHAR))[1] AS "queue_label",
  t."company_id" AS "company_id",
  CAST(n1."company_name" AS VARCHAR) AS "company_name",
  t."contract_id" AS "contract_id",
  CAST(n2."contract_name" AS VARCHAR) AS "contract_name",
  t."assigned_resource_id" AS "assigned_resource_id",
  nullif(concat_ws(' ', n3."first_name", n3."last_name"), '') AS "assigned_resource_name",
  t."create_date" AS "create_date",
  t."udf_severity" AS "udf_severity",
  CASE WHEN t."udf_severity" = '' THEN NULL WHEN map_extract(p."udf_severity", t."udf_severity")[1] IS NOT NULL THEN map_extract(p."udf_severity", t."udf_severity")[1] WHEN contains(t."udf_severity", ',') AND list_has_any([trim(x) FOR x IN string_split(t."udf_severity", ',')], map_keys(p."udf_severity")) THEN array_to_string([coalesce(map_extract(p."udf_severity", trim(x))[1], trim(x)) FOR x IN string_split(t."udf_severity", ',')], ', ') ELSE t."udf_severity" END AS "udf_severity_label",
  CASE WHEN epoch_us(t."udf_go_live") % 86400000000 = 0 THEN CAST(make_timestamp(epoch_us(t."udf_go_live")) AS DATE) ELSE CAST(timezone('America/New_York', t."udf_go_live") AS DATE) END AS "udf_go_live",
  t."_synced_at" AS "_synced_at",
  'https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenTicketDetail&TicketID=' || CAST(t.id AS VARCHAR) AS "deep_link"
FROM main."tickets" AS t
LEFT JOIN main."companies" AS n1 ON n1.id = t."company_id"
LEFT JOIN main."contracts" AS n2 ON n2.id = t."contract_id"
LEFT JOIN main."resources" AS n3 ON n3.id = t."assigned_resource_id"
CROSS JOIN (
  SELECT
    map_from_entries(list((value, label)) FILTER (WHERE column_name = 'status')) AS "status",
    map_from_entries(list((value, label)) FILTER (WHERE column_name = 'queue_id')) AS "queue_id",
    map_from_entries(list((value, label)) FILTER (WHERE column_name = 'udf_severity')) AS "udf_severity"
  FROM (
    SELECT column_name, value,
      first(label ORDER BY is_active DESC NULLS LAST, last_seen DESC NULLS LAST, label) AS label
    FROM main.picklists
    WHERE entity = 'Tickets' AND value IS NOT NULL AND label IS NOT NULL
    GROUP BY column_name, value
  )
) AS p
WHERE t."_deleted_at" IS NULL;
COMMENT ON VIEW main."v_tickets" IS 'Live rows of tickets with labels, names and dates. Tickets: Service tickets: incidents, problems, requests, changes, alerts';
COMMENT ON COLUMN main."v_tickets"."id" IS 'id';
COMMENT ON COLUMN main."v_tickets"."ticket_number" IS 'ticketNumber';
COMMENT ON COLUMN main."v_tickets"."status" IS 'status';
COMMENT ON COLUMN main."v_tickets"."status_label" IS 'label of status, from picklists (entity Tickets, column_name status)';
COMMENT ON COLUMN main."v_tickets"."queue_id" IS 'queueID';
COMMENT ON COLUMN main."v_tickets"."queue_label" IS 'label of queue_id, from picklists (entity Tickets, column_name queue_id)';
COMMENT ON COLUMN main."v_tickets"."company_id" IS 'companyID, refers to Companies';
COMMENT ON COLUMN main."v_tickets"."company_name" IS 'name of what company_id refers to: companyName of Companies';
COMMENT ON COLUMN main."v_tickets"."contract_id" IS 'contractID, refers to Contracts';
COMMENT ON COLUMN main."v_tickets"."contract_name" IS 'name of what contract_id refers to: contractName of Contracts';
COMMENT ON COLUMN main."v_tickets"."assigned_resource_id" IS 'assignedResourceID, refers to Resources';
COMMENT ON COLUMN main."v_tickets"."assigned_resource_name" IS 'name of what assigned_resource_id refers to: firstName and lastName of Resources';
COMMENT ON COLUMN main."v_tickets"."create_date" IS 'createDate';
COMMENT ON COLUMN main."v_tickets"."udf_severity" IS 'Severity (user-defined field)';
COMMENT ON COLUMN main."v_tickets"."udf_severity_label" IS 'label of udf_severity, from picklists (entity Tickets, column_name udf_severity)';
COMMENT ON COLUMN main."v_tickets"."udf_go_live" IS 'Go live (user-defined field), as the date that it means';
COMMENT ON COLUMN main."v_tickets"."_synced_at" IS 'when this version was read from Autotask';
COMMENT ON COLUMN main."v_tickets"."deep_link" IS 'opens the record in Autotask, for those who are logged in there';
