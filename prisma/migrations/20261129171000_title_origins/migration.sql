-- CreateEnum
CREATE TYPE "TitleOrigin" AS ENUM ('MESSAGE', 'MODEL', 'PERSON');

-- Who gave the titles that exist is not known any more: they are left as they are.
ALTER TABLE "conversations" ADD COLUMN     "title_origin" "TitleOrigin" NOT NULL DEFAULT 'PERSON';
ALTER TABLE "conversations" ALTER COLUMN "title_origin" SET DEFAULT 'MESSAGE';
