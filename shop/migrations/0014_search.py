"""Search in any language, by an index that plain PostgreSQL has: the letters and the pairs of letters of each course's text.

`pg_trgm` isn't everywhere, and its three letters find no Chinese word of two. What a degree's line says of its first day is frozen as well.
"""

from django.db import migrations

from shop.models.triggers import freeze

_TEXT = """
CREATE FUNCTION shop_search_text(name text, brief text, syllabus text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT lower(normalize(name || ' ' || brief || ' ' || syllabus, NFKC))
$$
"""
# The planner counts the cost of a function that is written in SQL as next to nothing, and would rather read every course.
_GRAMS = r"""
CREATE FUNCTION shop_search_grams(content text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
    SELECT coalesce(array_agg(DISTINCT gram), '{}') FROM (
        SELECT unnest(ARRAY[letter, letter || lead(letter) OVER (ORDER BY place)]) AS gram
        FROM unnest(string_to_array(content, NULL)) WITH ORDINALITY AS letters(letter, place)
    ) AS grams WHERE gram !~ '\s'
$$
"""
_INDEX = "CREATE INDEX course_search ON shop_course USING gin (shop_search_grams(shop_search_text(name, brief, syllabus)))"


class Migration(migrations.Migration):
    dependencies = [("shop", "0013_catalogue")]

    operations = [
        migrations.RunSQL(_TEXT, "DROP FUNCTION shop_search_text(text, text, text)"),
        migrations.RunSQL(_GRAMS, "DROP FUNCTION shop_search_grams(text)"),
        migrations.RunSQL(_INDEX, "DROP INDEX course_search"),
        freeze(
            "shop_orderline", "order_id", "course_id", "valid_period", "starts_on", "list_price", "coupon_record_id", "course_discount",
            "global_discount", "beili_amount", "cash_amount",
        ),
    ]
