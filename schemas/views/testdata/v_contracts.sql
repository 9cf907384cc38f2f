CREATE OR REPLACE VIEW main."v_contracts" AS
SELECT
  t."id" AS "id",
  t."contract_name" AS "contract_name",
  t."contact_id" AS "contact_id",
  CAST(NULL AS VARCHAR) AS "contact_id_name",
  t."contact_name" AS "contact_name",
  t."status" AS "status",
  map_extract(p."status", CAST(t."status" AS VARCHAR))[1] AS "status_label",
  CASE WHEN epoch_us(t."start_date") % 86400000000 = 0 THEN CAST(make_timestamp(epoch_us(t."start_date")) AS DATE) ELSE CAST(timezone('America/New_York', t."start_date") AS DATE) END AS "start_date",
  t."_synced_at" AS "_synced_at",
  'https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenContract&ContractID=' || CAST(t.id AS VARCHAR) AS "deep_link"
FROM main."contracts" AS t
CROSS JOIN (
  SELECT
    map_from_entries(list((value, label)) FILTER (WHERE column_name = 'status')) AS "status"
  FROM (
    SELECT column_name, value,
      first(label ORDER BY is_active DESC NULLS LAST, last_seen DESC NULLS LAST, label) AS label
    FROM main.picklists
    WHERE entity = 'Contracts' AND value IS NOT NULL AND label IS NOT NULL
    GROUP BY column_name, value
  )
) AS p
WHERE t."_deleted_at" IS NULL;
COMMENT ON VIEW main."v_contracts" IS 'Live rows of contracts with labels, names and dates. Contracts: Customer contracts (T&M, fixed, block, retainer, recurring, per ticket)';
COMMENT ON COLUMN main."v_contracts"."id" IS 'id';
COMMENT ON COLUMN main."v_contracts"."contract_name" IS 'contractName';
COMMENT ON COLUMN main."v_contracts"."contact_id" IS 'contactID, refers to Contacts';
COMMENT ON COLUMN main."v_contracts"."contact_id_name" IS 'name of what contact_id refers to: firstName and lastName of Contacts, which is not synced';
COMMENT ON COLUMN main."v_contracts"."contact_name" IS 'contactName';
COMMENT ON COLUMN main."v_contracts"."status" IS 'status';
COMMENT ON COLUMN main."v_contracts"."status_label" IS 'label of status, from picklists (entity Contracts, column_name status)';
COMMENT ON COLUMN main."v_contracts"."start_date" IS 'startDate, as the date that it means';
COMMENT ON COLUMN main."v_contracts"."_synced_at" IS 'when this version was read from Autotask';
COMMENT ON COLUMN main."v_contracts"."deep_link" IS 'opens the record in Autotask, for those who are logged in there';
