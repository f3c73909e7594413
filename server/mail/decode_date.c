/* decode_date.c - RFC 5322 dates, the obsolete ones, and what mailers make of them.
 *
 * The value is cut into words; each is known by its shape, not by its place, so that missing days
 * of the week, swapped fields, asctime() and ISO 8601 forms are read too. What stays absurd is no
 * date. */
#include "decode.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

#define DATE_MOST_BYTES 512
#define WORDS_MOST      16

struct date {
    int year, month, day, hour, minute, second; /* -1: not seen */
    int zone_minutes;
    bool has_zone;
    int meridian_hours; /* -1: none, 0: AM, 12: PM */
};

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};

struct zone {
    const char *name;
    int hours;
};

static const struct zone zones[] = {
    {"UT", 0},   {"GMT", 0},  {"UTC", 0},  {"Z", 0},    {"EST", -5}, {"EDT", -4},  {"CST", -6},
    {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}, {"WET", 0},   {"WEST", 1},
    {"CET", 1},  {"CEST", 2}, {"MET", 1},  {"MEST", 2}, {"EET", 2},  {"EEST", 3},  {"MSK", 3},
    {"BST", 1},  {"JST", 9},  {"KST", 9},  {"HKT", 8},  {"SGT", 8},  {"AEST", 10}, {"AEDT", 11},
};

/* Comments (nested, with escapes) and commas become blanks; the copy's length. */
static size_t strip_comments(const char *raw, size_t length, char *out)
{
    size_t put = 0;
    int depth = 0;
    for (size_t i = 0; i < length && put + 1 < DATE_MOST_BYTES; i++) {
        char byte = raw[i];
        if (depth && byte == '\\')
            i++;
        else if (byte == '(' && depth < DATE_MOST_BYTES)
            depth++;
        else if (byte == ')' && depth)
            depth--;
        else if (depth == 0)
            out[put++] = byte == ',' || (byte >= 0 && byte <= ' ') ? ' ' : byte;
    }
    out[put] = '\0';
    return put;
}

static int number_at(const char **at, int digits_most)
{
    int value = 0, digits = 0;
    while (isdigit((unsigned char)**at) && digits < digits_most) {
        value = value * 10 + (**at - '0');
        (*at)++;
        digits++;
    }
    return digits ? value : -1;
}

/* "9:30", "09:30:05", "09.30.05", "09:30:05.123"; false when it is no time. */
static bool read_time(struct date *date, const char *word, const char **rest)
{
    const char *at = word;
    int hour = number_at(&at, 2);
    char divider = *at;
    if (hour < 0 || (divider != ':' && divider != '.') || !isdigit((unsigned char)at[1]))
        return false;
    at++;
    int minute = number_at(&at, 2), second = 0;
    if (*at == divider) {
        at++;
        second = isdigit((unsigned char)*at) ? number_at(&at, 2) : 0;
    } else if (divider == '.') {
        return false; /* "24.12" is a day */
    }
    if (*at == '.' || *at == ',')
        for (at++; isdigit((unsigned char)*at); at++)
            continue;
    date->hour = hour;
    date->minute = minute;
    date->second = second;
    *rest = at;
    return true;
}

/* "+0200", "-05:30", "+2"; a zone that cannot be is read as UTC. */
static bool read_offset(struct date *date, const char *word)
{
    if ((*word != '+' && *word != '-') || !isdigit((unsigned char)word[1]))
        return false;
    const char *at = word + 1;
    size_t digits = strspn(at, "0123456789");
    int hours, minutes = 0;
    if (digits >= 3) {
        hours = number_at(&at, digits == 3 ? 1 : 2);
        minutes = number_at(&at, 2);
    } else {
        hours = number_at(&at, 2);
        if (*at == ':') {
            at++;
            minutes = number_at(&at, 2);
        }
    }
    bool sane = hours <= 15 && minutes >= 0 && minutes < 60;
    date->zone_minutes = sane ? (hours * 60 + minutes) * (*word == '-' ? -1 : 1) : 0;
    date->has_zone = true;
    return true;
}

static bool read_zone_name(struct date *date, const char *word)
{
    size_t letters = 0;
    while (isalpha((unsigned char)word[letters]))
        letters++;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        if (text_case_equal(word, letters, zones[i].name)) {
            date->zone_minutes = zones[i].hours * 60;
            date->has_zone = true;
            read_offset(date, word + letters); /* "GMT+0200" */
            return true;
        }
    }
    return false; /* a military letter, or unknown: UTC (RFC 5322 4.3) */
}

/* A year as written: RFC 5322 4.3 for two and three digits. */
static int full_year(int year, size_t digits)
{
    if (digits >= 4)
        return year;
    return digits == 3 || year >= 50 ? 1900 + year : 2000 + year;
}

/* "2026-02-28", "2026/02/28", with or without "T09:30:00Z" behind. */
static bool read_iso(struct date *date, const char *word)
{
    if (strspn(word, "0123456789") != 4 || (word[4] != '-' && word[4] != '/') ||
        !isdigit((unsigned char)word[5]))
        return false;
    const char *at = word;
    date->year = number_at(&at, 4);
    at++;
    date->month = number_at(&at, 2) - 1;
    if (*at != word[4])
        return false;
    at++;
    date->day = number_at(&at, 2);
    if ((*at == 'T' || *at == 't') && read_time(date, at + 1, &at) && *at && !read_offset(date, at))
        read_zone_name(date, at);
    return true;
}

static void read_number(struct date *date, const char *word)
{
    size_t digits = strspn(word, "0123456789");
    const char *at = word;
    if (digits > 4)
        return;
    int value = number_at(&at, 4);
    if (date->day < 0 && digits <= 2 && value >= 1 && value <= 31)
        date->day = value;
    else if (date->year < 0)
        date->year = full_year(value, digits);
}

static bool read_month(struct date *date, const char *word)
{
    for (int i = 0; i < 12 && date->month < 0; i++) {
        if (text_starts_case(word, months[i])) {
            date->month = i;
            return true;
        }
    }
    return false;
}

static void read_word(struct date *date, char *word)
{
    const char *rest = word;
    if (date->hour < 0 && read_time(date, word, &rest)) {
        if (*rest && !read_offset(date, rest) && !read_zone_name(date, rest))
            read_word(date, (char *)rest);
        return;
    }
    if (text_casecmp(word, "am") == 0 || text_casecmp(word, "pm") == 0) {
        date->meridian_hours = tolower((unsigned char)word[0]) == 'p' ? 12 : 0;
    } else if (date->year < 0 && date->month < 0 && read_iso(date, word)) {
        return;
    } else if (isdigit((unsigned char)word[0])) {
        char *dash = strpbrk(word, "-/"); /* "28-Feb-2026" */
        if (dash)
            *dash = '\0';
        read_number(date, word);
        if (dash && dash[1])
            read_word(date, dash + 1);
    } else if (isalpha((unsigned char)word[0]) && date->month < 0 && read_month(date, word)) {
        char *dash = strpbrk(word, "-/");
        if (dash)
            read_number(date, dash + 1);
    } else if (!date->has_zone && !read_offset(date, word)) {
        read_zone_name(date, word);
    }
}

/* Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant, "chrono-compatible low-level
 * date algorithms"). */
static int64_t days_from_civil(int year, int month, int day)
{
    year -= month < 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static bool date_is_sane(const struct date *date)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (date->year < 1900 || date->year > 9998 || date->month < 0 || date->month > 11 ||
        date->day < 1 || date->day > month_days[date->month])
        return false;
    bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
    if (date->month == 1 && date->day == 29 && !leap)
        return false;
    return date->hour >= 0 && date->hour < 24 && date->minute >= 0 && date->minute < 60 &&
           date->second >= 0 && date->second <= 60;
}

bool decode_date(const char *raw, size_t length, int64_t *unix_s)
{
    char text[DATE_MOST_BYTES], *rest = NULL;
    struct date date = {-1, -1, -1, -1, -1, -1, .meridian_hours = -1};
    strip_comments(raw, length, text);
    char *word = strtok_r(text, " ", &rest);
    for (int words = 0; word && words < WORDS_MOST; words++) {
        read_word(&date, word);
        word = strtok_r(NULL, " ", &rest);
    }
    if (date.hour < 0 && date.year >= 0)
        date.hour = date.minute = date.second = 0;
    if (date.meridian_hours >= 0 && date.hour >= 1 && date.hour <= 12)
        date.hour = date.hour % 12 + date.meridian_hours;
    if (!date_is_sane(&date))
        return false;
    *unix_s = days_from_civil(date.year, date.month, date.day) * 86400 + date.hour * 3600 +
              date.minute * 60 + date.second - date.zone_minutes * 60;
    return true;
}
