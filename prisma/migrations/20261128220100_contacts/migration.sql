-- The triggers of the feed are deferred; tables are not altered while they wait.
SET CONSTRAINTS ALL IMMEDIATE;

-- AlterTable
ALTER TABLE "conversations" ADD COLUMN     "contact_id" UUID;

-- CreateTable
CREATE TABLE "contacts" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "name" TEXT,
    "email" TEXT,
    "email_key" TEXT,
    "phone" TEXT,
    "notes" TEXT,
    "fields" JSONB NOT NULL DEFAULT '{}',
    "merged_into_id" UUID,
    "creation_key" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "contacts_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "contacts_tenant_id_merged_into_id_idx" ON "contacts"("tenant_id", "merged_into_id");

-- CreateIndex
CREATE UNIQUE INDEX "contacts_tenant_id_id_key" ON "contacts"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_contact_id_updated_at_id_idx" ON "conversations"("tenant_id", "contact_id", "updated_at", "id");

-- AddForeignKey
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_tenant_id_contact_id_fkey" FOREIGN KEY ("tenant_id", "contact_id") REFERENCES "contacts"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_tenant_id_merged_into_id_fkey" FOREIGN KEY ("tenant_id", "merged_into_id") REFERENCES "contacts"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The list of contacts; one that was merged into another is in no list.
CREATE INDEX "contacts_tenant_id_created_at_id_idx" ON "contacts"("tenant_id", "created_at", "id")
  WHERE "merged_into_id" IS NULL;

-- A person is there once: whoever is second in a race is refused by these.
CREATE UNIQUE INDEX "contacts_tenant_id_email_key_key" ON "contacts"("tenant_id", "email_key") WHERE "email_key" IS NOT NULL;
CREATE UNIQUE INDEX "contacts_tenant_id_phone_key" ON "contacts"("tenant_id", "phone") WHERE "phone" IS NOT NULL;
CREATE UNIQUE INDEX "contacts_tenant_id_creation_key_key" ON "contacts"("tenant_id", "creation_key")
  WHERE "creation_key" IS NOT NULL;

-- The bounds of contacts/input.ts, with room: no row is larger, whoever writes it.
ALTER TABLE "contacts"
  ADD CONSTRAINT "contacts_name_check" CHECK (char_length("name") BETWEEN 1 AND 200),
  ADD CONSTRAINT "contacts_email_check" CHECK (char_length("email") BETWEEN 3 AND 254),
  ADD CONSTRAINT "contacts_email_key_check" CHECK (char_length("email_key") BETWEEN 3 AND 400 AND ("email" IS NULL) = ("email_key" IS NULL)),
  ADD CONSTRAINT "contacts_phone_check" CHECK ("phone" ~ '^\+[1-9][0-9]{3,14}$'),
  ADD CONSTRAINT "contacts_notes_check" CHECK (char_length("notes") <= 20000),
  ADD CONSTRAINT "contacts_fields_check" CHECK (jsonb_typeof("fields") = 'object' AND octet_length("fields"::text) <= 200000),
  ADD CONSTRAINT "contacts_creation_key_check" CHECK (char_length("creation_key") <= 400),
  -- What was merged into another holds nothing of the person.
  ADD CONSTRAINT "contacts_merged_into_id_check" CHECK ("merged_into_id" IS NULL OR (
    "merged_into_id" <> "id" AND "name" IS NULL AND "email" IS NULL AND "phone" IS NULL AND "notes" IS NULL AND "fields" = '{}'
  ));

-- Whoever refers to a contact that was merged, or is being merged at this moment, refers to the one into which it was
-- merged. The lock waits for a merge under way (contacts/merge.ts takes FOR UPDATE). For each table with a contact_id.
CREATE FUNCTION follow_merged_contact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    next_id UUID;
BEGIN
    LOOP
        SELECT merged_into_id INTO next_id FROM contacts
            WHERE tenant_id = NEW.tenant_id AND id = NEW.contact_id FOR KEY SHARE;
        EXIT WHEN NOT FOUND OR next_id IS NULL;
        NEW.contact_id := next_id;
    END LOOP;
    RETURN NEW;
END $$;

CREATE TRIGGER "conversations_follow_merged_contact" BEFORE INSERT OR UPDATE OF "contact_id" ON "conversations"
    FOR EACH ROW WHEN (NEW.contact_id IS NOT NULL) EXECUTE FUNCTION follow_merged_contact();

-- Readers of the feed are told when a conversation gets another contact.
CREATE FUNCTION feed_contact_of_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'ConversationUpdated', NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER "conversations_feed_contact" AFTER UPDATE OF "contact_id" ON "conversations"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.contact_id IS DISTINCT FROM NEW.contact_id)
    EXECUTE FUNCTION feed_contact_of_conversation();
