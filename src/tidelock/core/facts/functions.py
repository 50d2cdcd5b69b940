"""What is known of PostgreSQL's functions: which ones leave nothing behind.

Names are those of pg_catalog, which search_path always puts first; a user's function of the same name and other
argument types is taken for PostgreSQL's. A server test compares the lists with pg_proc: READS are immutable or
stable there, in every version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidelock.core.facts import timescale

if TYPE_CHECKING:
    from collections.abc import Sequence

READS = frozenset(
    """
    abs acos acosd acosh age any_value array_agg array_append array_cat array_dims array_fill array_length array_lower
    array_ndims array_position array_positions array_prepend array_remove array_replace array_reverse array_sort
    array_to_json array_to_string array_to_tsvector array_upper ascii asin asind asinh atan
    atan2 atan2d atand atanh avg bit_and bit_count bit_length bit_or bit_xor bool_and bool_or bpchar btrim cardinality
    casefold cbrt ceil ceiling char_length character_length chr col_description concat concat_ws convert convert_from
    convert_to corr cos cosd cosh cot cotd count covar_pop covar_samp crc32 crc32c cume_dist current_database
    current_schema current_schemas current_setting current_user date date_add date_bin date_part date_subtract
    date_trunc daterange datemultirange decode degrees dense_rank div encode enum_first enum_last enum_range erf erfc
    every exp
    extract factorial family first_value float4 float8 floor format format_type gamma gcd generate_series
    generate_subscripts get_bit get_byte getdatabaseencoding grouping has_any_column_privilege has_column_privilege
    has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege
    has_parameter_privilege has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege
    has_tablespace_privilege has_type_privilege hashtext hashtextextended host hostmask inet_client_addr
    inet_client_port inet_merge inet_same_family inet_server_addr inet_server_port initcap int2 int4 int4range
    int4multirange int8 int8range int8multirange interval is_normalized isempty isfinite json json_agg json_agg_strict
    json_array_element json_array_element_text json_array_elements json_array_elements_text json_array_length
    json_build_array json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object
    json_object_agg json_object_agg_unique json_object_keys json_populate_record json_populate_recordset
    json_strip_nulls json_to_record json_to_recordset json_to_tsvector json_typeof jsonb_agg jsonb_agg_strict
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_contains jsonb_each jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path
    jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_agg_unique jsonb_object_keys
    jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
    jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_to_tsvector jsonb_typeof justify_days justify_hours
    justify_interval lag last_value lcm lead left length lgamma ln log log10 lower lower_inc lower_inf lpad ltrim
    macaddr8_set7bit make_date make_interval make_time make_timestamp make_timestamptz masklen max md5 min min_scale
    mod mode multirange name netmask network normalize now nth_value ntile num_nonnulls num_nulls numeric numnode
    numrange nummultirange obj_description octet_length overlaps overlay parse_ident percent_rank percentile_cont
    percentile_disc pg_backend_pid pg_client_encoding pg_column_size pg_current_snapshot pg_current_xact_id
    pg_describe_object pg_get_constraintdef pg_get_expr pg_get_function_arguments pg_get_function_identity_arguments
    pg_get_function_result pg_get_functiondef pg_get_indexdef pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence
    pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_input_is_valid pg_is_other_temp_schema
    pg_my_temp_schema pg_relation_filenode pg_relation_filepath pg_size_bytes pg_size_pretty pg_table_is_visible
    pg_trigger_depth pg_type_is_visible pg_typeof phraseto_tsquery pi plainto_tsquery point polygon position pow power
    querytree quote_ident quote_literal quote_nullable radians range_agg range_intersect_agg range_merge rank
    regclass regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
    regr_sxy regr_syy repeat replace reverse right round row_number row_security_active row_to_json rpad rtrim scale
    session_user set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512 shobj_description sign sin sind
    sinh split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array
    string_to_table strip strpos substr substring sum tan tand tanh text textcat textlike time timestamp timestamptz
    timezone to_ascii to_bin to_char to_date to_hex to_json to_jsonb to_number to_oct to_regclass to_regcollation
    to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_timestamp to_tsquery
    to_tsvector transaction_timestamp translate trim_array trim_scale trunc ts_debug ts_delete ts_filter ts_headline
    ts_rank ts_rank_cd tsquery_phrase tsrange tsmultirange tstzrange tstzmultirange tsvector_to_array txid_current
    txid_current_if_assigned txid_current_snapshot unistr unnest upper upper_inc upper_inf uuid_extract_timestamp
    uuid_extract_version var_pop var_samp varchar variance version websearch_to_tsquery width_bucket xmlagg xmlcomment
    xmlexists xpath xpath_exists
    """.split()  # noqa: SIM905 - 40 lines of names are easier to read and to compare than 400 strings
)
"""They compute from their arguments or read the catalog: calling them again changes nothing."""

VARIES = frozenset(
    """
    array_sample array_shuffle clock_timestamp gen_random_uuid pg_blocking_pids pg_current_wal_insert_lsn
    pg_current_wal_lsn pg_database_size
    pg_indexes_size pg_is_in_recovery pg_relation_size pg_sleep pg_sleep_for pg_sleep_until pg_table_size
    pg_tablespace_size pg_total_relation_size random random_normal timeofday uuidv4 uuidv7
    """.split()  # noqa: SIM905
)
"""They change nothing either, and their results differ from call to call. (setseed makes random() a matter of the
session; it is not in these lists.)"""

ACTS = frozenset(
    """
    brin_desummarize_range brin_summarize_new_values brin_summarize_range currval gin_clean_pending_list lo_create
    lo_from_bytea lo_put lo_unlink nextval pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_cancel_backend
    pg_create_restore_point pg_import_system_collations pg_notify pg_reload_conf pg_rotate_logfile pg_stat_reset
    pg_stat_reset_shared pg_stat_reset_single_table_counters pg_switch_wal pg_terminate_backend
    pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared setval
    """.split()  # noqa: SIM905
)
"""They change something, and not the session: locks of theirs end with the transaction. (What nextval leaves for
currval in the session reaches no other statement but by calling currval.)"""

KEEPS = frozenset(
    """
    pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared set_config
    """.split()  # noqa: SIM905
)
"""What they do to the session outlives the transaction (set_config: unless it is local)."""

_TAKES = frozenset({"lo_put", "lo_unlink"})
"""Of ACTS: they take something away."""

_TAKE_NOTHING = frozenset(
    """
    area center diameter has_largeobject_privilege height json_object_field json_object_field_text lastval lo_creat
    lo_get lo_import lo_lseek lo_open loread pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
    pg_available_extension_versions pg_available_extensions pg_basetype pg_collation_for pg_collation_is_visible
    pg_column_compression pg_column_is_updatable pg_encoding_to_char pg_export_snapshot pg_function_is_visible
    pg_get_acl pg_get_keywords pg_get_object_address pg_get_statisticsobjdef pg_identify_object
    pg_identify_object_as_address pg_logical_emit_message pg_options_to_table pg_partition_ancestors pg_partition_root
    pg_partition_tree pg_postmaster_start_time pg_relation_is_updatable pg_sequence_last_value pg_show_all_settings
    pg_stat_clear_snapshot pg_stat_force_next_flush pg_tablespace_location pg_timezone_names pg_wal_lsn_diff
    pg_walfile_name pg_xact_status radius satisfies_hash_partition setseed similar_escape similar_to_escape
    suppress_redundant_updates_trigger ts_lexize ts_parse ts_rewrite tsvector_update_trigger
    tsvector_update_trigger_column txid_status unicode_version width xml xml_is_well_formed
    xml_is_well_formed_content xml_is_well_formed_document xmltext
    """.split()  # noqa: SIM905
)
"""PostgreSQL's too, in none of the lists above: they may be the session's business, and take nothing away."""

_OTHERS = frozenset(
    """
    armor crypt dearmor decrypt digest encrypt gen_random_bytes gen_salt hmac hstore pgp_pub_decrypt pgp_pub_encrypt
    pgp_sym_decrypt pgp_sym_encrypt set_limit show_limit show_trgm similarity st_area st_asgeojson st_astext st_buffer
    st_centroid st_collect st_contains st_distance st_dwithin st_geogfromtext st_geomfromgeojson st_geomfromtext
    st_intersects st_length st_makeenvelope st_makeline st_makepoint st_point st_setsrid st_transform st_within st_x
    st_y strict_word_similarity unaccent uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3
    uuid_generate_v4 uuid_generate_v5 uuid_nil uuid_ns_dns uuid_ns_oid uuid_ns_url uuid_ns_x500 word_similarity
    """.split()  # noqa: SIM905
)
"""Of extensions that many databases have. They compute."""


def harmless(name: Sequence[str]) -> bool:
    """Whether a call is known to take nothing away, name and schema given. False when nobody knows."""
    *schema, bare = name or [""]
    own = (READS, VARIES, KEEPS, ACTS, _TAKE_NOTHING)
    if schema in ([], ["pg_catalog"]) and bare not in _TAKES and any(bare in some for some in own):
        return True
    return (bare in timescale.FUNCTIONS and bare not in timescale.TAKE) or bare in _OTHERS


_EXTERNAL = frozenset(
    """
    http http_delete http_get http_patch http_post http_put lo_export pg_copy_logical_replication_slot
    pg_copy_physical_replication_slot pg_create_logical_replication_slot pg_create_physical_replication_slot
    pg_drop_replication_slot pg_file_rename pg_file_sync pg_file_unlink pg_file_write pg_logical_slot_get_changes
    pg_logical_slot_get_binary_changes pg_promote pg_replication_slot_advance pg_reload_conf pg_rotate_logfile
    """.split()  # noqa: SIM905
)


def is_external(name: str) -> bool:
    """Whether a function (without its schema) reaches out of the database: another server, files, slots."""
    return name in _EXTERNAL or name.startswith("dblink")
