-- CreateTable
CREATE TABLE "user_token_days" (
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "day" DATE NOT NULL,
    "tokens" BIGINT NOT NULL,

    CONSTRAINT "user_token_days_pkey" PRIMARY KEY ("tenant_id","user_id","day")
);

-- CreateTable
CREATE TABLE "tenant_token_days" (
    "tenant_id" TEXT NOT NULL,
    "day" DATE NOT NULL,
    "part" SMALLINT NOT NULL,
    "tokens" BIGINT NOT NULL,

    CONSTRAINT "tenant_token_days_pkey" PRIMARY KEY ("tenant_id","day","part")
);

-- AddForeignKey
ALTER TABLE "user_token_days" ADD CONSTRAINT "user_token_days_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_token_days" ADD CONSTRAINT "tenant_token_days_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Rows are changed often, and no index holds their tokens: with room in the page, a change moves no index entry.
ALTER TABLE "user_token_days" SET (fillfactor = 70);
ALTER TABLE "tenant_token_days" SET (fillfactor = 50);

ALTER TABLE "user_token_days" ADD CONSTRAINT "user_token_days_tokens_not_negative" CHECK ("tokens" >= 0);
ALTER TABLE "tenant_token_days"
    ADD CONSTRAINT "tenant_token_days_tokens_not_negative" CHECK ("tokens" >= 0),
    ADD CONSTRAINT "tenant_token_days_part_in_range" CHECK ("part" BETWEEN 0 AND 15);

-- The part of a tenant's count in which a user is counted.
CREATE FUNCTION token_day_part(user_id text) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (get_byte(decode(md5(user_id), 'hex'), 0) & 15)::smallint
$$;

INSERT INTO "user_token_days" ("tenant_id", "user_id", "day", "tokens")
SELECT "tenant_id", "user_id", ("created_at" AT TIME ZONE 'UTC')::date, sum("input_tokens"::bigint + "output_tokens")
FROM "model_calls" GROUP BY 1, 2, 3;

INSERT INTO "tenant_token_days" ("tenant_id", "day", "part", "tokens")
SELECT "tenant_id", ("created_at" AT TIME ZONE 'UTC')::date, token_day_part("user_id"),
  sum("input_tokens"::bigint + "output_tokens")
FROM "model_calls" GROUP BY 1, 2, 3;

-- Whatever statement adds to the ledger counts: a row that is there already (ON CONFLICT DO NOTHING) is not counted again.
-- Everybody locks the row of the user first, then one part of the tenant.
CREATE FUNCTION count_token_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "user_token_days" AS d ("tenant_id", "user_id", "day", "tokens")
  SELECT "tenant_id", "user_id", ("created_at" AT TIME ZONE 'UTC')::date, sum("input_tokens"::bigint + "output_tokens")
  FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT ("tenant_id", "user_id", "day") DO UPDATE SET "tokens" = d."tokens" + excluded."tokens";
  INSERT INTO "tenant_token_days" AS d ("tenant_id", "day", "part", "tokens")
  SELECT "tenant_id", ("created_at" AT TIME ZONE 'UTC')::date, token_day_part("user_id"),
    sum("input_tokens"::bigint + "output_tokens")
  FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT ("tenant_id", "day", "part") DO UPDATE SET "tokens" = d."tokens" + excluded."tokens";
  RETURN NULL;
END
$$;

CREATE TRIGGER "model_calls_count_token_days" AFTER INSERT ON "model_calls"
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_token_days();
