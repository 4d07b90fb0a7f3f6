/* CRC-32: the published check value, every length and alignment against the definition, pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

static uint32_t bit_by_bit(uint32_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (; n; n--) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static void check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32(0, (const Bytef *)"123456789", 9), 0xcbf43926u);
    assert_int_equal(crc32(0, NULL, 0), 0);
    assert_int_equal(crc32(77, (const Bytef *)"", 0), 77);
}

static void lengths(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; from + n <= sizeof bytes; n++) {
            assert_int_equal(crc32_z(5, bytes + from, n), bit_by_bit(5, bytes + from, n));
            assert_int_equal(crc32_z(crc32_z(0, bytes, from), bytes + from, n), crc32_z(0, bytes, from + n));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(check_value), cmocka_unit_test(lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
