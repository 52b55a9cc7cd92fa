// SPDX-License-Identifier: MIT
#include "lib/printf.h"

#include "lib/string.h"

struct conversion {
	void (*put)(void *context, char c);
	void *context;
	int written;
	bool left, zero;
	int width, precision;
};

static void emit(struct conversion *cv, char c)
{
	cv->put(cv->context, c);
	cv->written++;
}

static void emit_padded(struct conversion *cv, const char *text, int length)
{
	int padding = cv->width > length ? cv->width - length : 0;

	for (int i = 0; !cv->left && i < padding; i++)
		emit(cv, ' ');
	for (int i = 0; i < length; i++)
		emit(cv, text[i]);
	for (int i = 0; cv->left && i < padding; i++)
		emit(cv, ' ');
}

static void emit_number(struct conversion *cv, u64 value, unsigned base, bool negative)
{
	char digits[24];
	int used = 0, room = sizeof(digits);
	int wanted = cv->zero && !cv->left ? cv->width - negative : 1;

	do {
		digits[room - ++used] = "0123456789abcdef"[value % base];
		value /= base;
	} while ((value || used < wanted) && used < room - 1);
	if (negative)
		digits[room - ++used] = '-';
	emit_padded(cv, digits + room - used, used);
}

static const char *parse_flags(struct conversion *cv, const char *p, va_list *args)
{
	cv->left = cv->zero = false;
	cv->width = 0;
	cv->precision = -1;
	for (; *p == '-' || *p == '0'; p++) {
		cv->left |= *p == '-';
		cv->zero |= *p == '0';
	}
	for (; *p >= '0' && *p <= '9'; p++)
		cv->width = cv->width * 10 + *p - '0';
	if (*p != '.')
		return p;
	if (*++p == '*') {
		cv->precision = va_arg(*args, int);
		return p + 1;
	}
	for (cv->precision = 0; *p >= '0' && *p <= '9'; p++)
		cv->precision = cv->precision * 10 + *p - '0';
	return p;
}

static void emit_string(struct conversion *cv, const char *text)
{
	int length = 0;

	if (!text)
		text = "(null)";
	while ((cv->precision < 0 || length < cv->precision) && text[length])
		length++;
	emit_padded(cv, text, length);
}

int format(void (*put)(void *context, char c), void *context, const char *fmt, va_list original)
{
	struct conversion cv = {.put = put, .context = context};
	va_list args;

	va_copy(args, original);
	for (const char *p = fmt; *p; p++) {
		if (*p != '%') {
			emit(&cv, *p);
			continue;
		}
		const char *start = p;
		bool is_long = false;

		p = parse_flags(&cv, p + 1, &args);
		for (; *p == 'l' || *p == 'z'; p++)
			is_long = true;
		if (*p == 'c') {
			char c = (char)va_arg(args, int);

			emit_padded(&cv, &c, 1);
		} else if (*p == 's') {
			emit_string(&cv, va_arg(args, const char *));
		} else if (*p == 'd' || *p == 'i') {
			s64 value = is_long ? va_arg(args, s64) : va_arg(args, int);

			emit_number(&cv, value < 0 ? -(u64)value : (u64)value, 10, value < 0);
		} else if (*p == 'u' || *p == 'x') {
			u64 value = is_long ? va_arg(args, u64) : va_arg(args, u32);

			emit_number(&cv, value, *p == 'x' ? 16 : 10, false);
		} else if (*p == 'p') {
			emit(&cv, '0');
			emit(&cv, 'x');
			emit_number(&cv, (u64)va_arg(args, void *), 16, false);
		} else if (*p == '%') {
			emit(&cv, '%');
		} else {
			emit(&cv, '%');
			p = start;
		}
	}
	va_end(args);
	return cv.written;
}

struct buffer {
	char *text;
	size_t size, used;
};

static void put_buffer(void *context, char c)
{
	struct buffer *b = context;

	if (b->used + 1 < b->size)
		b->text[b->used] = c;
	b->used++;
}

int vsnprintf(char *text, size_t size, const char *fmt, va_list args)
{
	struct buffer b = {text, size, 0};
	int length = format(put_buffer, &b, fmt, args);

	if (size)
		text[b.used < size ? b.used : size - 1] = '\0';
	return length;
}

int snprintf(char *text, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int length = vsnprintf(text, size, fmt, args);
	va_end(args);
	return length;
}
