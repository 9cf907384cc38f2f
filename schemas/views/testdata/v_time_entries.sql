CREATE OR REPLACE VIEW main."v_time_entries" AS
SELECT
  t."id" AS "id",
  t."ticket_id" AS "ticket_id",
  CAST(n1."ticket_number" AS VARCHAR) AS "ticket_name",
  t."task_id" AS "task_id",
  CAST(NULL AS VARCHAR) AS "task_name",
  CASE WHEN epoch_us(t."date_worked") % 86400000000 = 0 THEN CAST(make_timestamp(epoch_us(t."date_worked")) AS DATE) ELSE CAST(timezone('America/New_York', t."date_worked") AS DATE) END AS "date_worked",
  t."_synced_at" AS "_synced_at",
  coalesce('https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenTicketDetail&TicketID=' || CAST(t."ticket_id" AS VARCHAR), 'https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenTaskDetail&TaskID=' || CAST(t."task_id" AS VARCHAR)) AS "deep_link"
FROM main."time_entries" AS t
LEFT JOIN main."tickets" AS n1 ON n1.id = t."ticket_id"
WHERE t."_deleted_at" IS NULL;
COMMENT ON VIEW main."v_time_entries" IS 'Live rows of time_entries with labels, names and dates. TimeEntries: Labour entries on tickets, tasks and internal time';
COMMENT ON COLUMN main."v_time_entries"."id" IS 'id';
COMMENT ON COLUMN main."v_time_entries"."ticket_id" IS 'ticketID, refers to Tickets';
COMMENT ON COLUMN main."v_time_entries"."ticket_name" IS 'name of what ticket_id refers to: ticketNumber of Tickets';
COMMENT ON COLUMN main."v_time_entries"."task_id" IS 'taskID, refers to Tasks';
COMMENT ON COLUMN main."v_time_entries"."task_name" IS 'name of what task_id refers to: title of Tasks, which is not synced';
COMMENT ON COLUMN main."v_time_entries"."date_worked" IS 'dateWorked, as the date that it means';
COMMENT ON COLUMN main."v_time_entries"."_synced_at" IS 'when this version was read from Autotask';
COMMENT ON COLUMN main."v_time_entries"."deep_link" IS 'opens in Autotask what ticket_id or task_id refers to';
