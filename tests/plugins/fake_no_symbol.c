/* A shared object that is no plugin. */
int fake_no_symbol(void);
__attribute__((visibility("default"))) int fake_no_symbol(void)
{
    return 1;
}
