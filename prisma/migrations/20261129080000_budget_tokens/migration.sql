-- AlterTable
ALTER TABLE "model_calls" ADD COLUMN     "budget_tokens" INTEGER;

ALTER TABLE "model_calls" ADD CONSTRAINT "model_calls_budget_tokens_not_negative" CHECK ("budget_tokens" >= 0);

-- What counts towards budgets is not always what was reported: a call that was stopped reports nothing, and who answers at an
-- address that a user wrote may report anything.
CREATE OR REPLACE FUNCTION count_token_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "user_token_days" AS d ("tenant_id", "user_id", "day", "tokens")
  SELECT "tenant_id", "user_id", ("created_at" AT TIME ZONE 'UTC')::date,
    sum(coalesce("budget_tokens"::bigint, "input_tokens"::bigint + "output_tokens"))
  FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT ("tenant_id", "user_id", "day") DO UPDATE SET "tokens" = d."tokens" + excluded."tokens";
  INSERT INTO "tenant_token_days" AS d ("tenant_id", "day", "part", "tokens")
  SELECT "tenant_id", ("created_at" AT TIME ZONE 'UTC')::date, token_day_part("user_id"),
    sum(coalesce("budget_tokens"::bigint, "input_tokens"::bigint + "output_tokens"))
  FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT ("tenant_id", "day", "part") DO UPDATE SET "tokens" = d."tokens" + excluded."tokens";
  RETURN NULL;
END
$$;
