-- AlterTable
ALTER TABLE "http_tools" ADD COLUMN     "is_idempotent" BOOLEAN NOT NULL DEFAULT false;

-- GET is idempotent by definition (RFC 9110, section 9.2.2), and such tools are created so.
UPDATE "http_tools" SET "is_idempotent" = true WHERE "method" = 'GET';
